"""Words that give nobody away: those of bills, deliveries, appointments and codes, and the small words between them.

Whatever is not here may be a name and is masked. No given name, surname or place is in this list, and none may come in:
a word that is also a name ("rosa", "vitoria", "luz", "franca") stays out.
"""

from __future__ import annotations

# Without accents, in small letters; `folded` makes a word comparable.
PORTUGUESE = """
a o e as os um uma uns umas de da do das dos em na no nas nos num numa por pela pelo pelas pelos para pra com sem sob
sobre entre ate desde apos ante contra ou mas que se ja nao sim nem tambem so apenas mais menos muito muita muitos
muitas pouco pouca todo toda todos todas cada outro outra outros outras mesmo mesma qual quais quem como quando onde
porque pois portanto assim entao aqui ai la ali agora hoje ontem amanha cedo tarde logo sempre nunca ainda antes
depois durante enquanto este esta estes estas esse essa esses essas isto isso aquele aquela ele ela eles elas eu tu
vos voce voces senhor senhora sr sra srta meu minha meus minhas seu sua seus suas nosso nossa nossos nossas lhe lhes
me te ao aos ser sou somos sao era foi foram sera serao seja sejam sido estar estou estamos estao estava esteja
estejam estado ter tem temos tinha tera tenha tenham tido haver ha houve havera ir vai vamos vao va fazer faz faca
facam feito feita poder pode podem possa possam podera dever deve devem devera querer quer quero queira precisar
precisa precisam dizer dizendo ver veja vejam vir vem venha venham dar deu dado ficar fica ficou fique saber saiba
sabia ola oi bom boa dia dias noite caro cara prezado prezada prezados atencao aviso avisos lembrete lembramos lembrar
informamos informa informar informacao informacoes comunicamos comunicado importante urgente parabens obrigado
obrigada obrigados agradecemos agradecimento desculpe desculpas bem vindo vinda cliente clientes assinante usuario
titular responsavel paciente aluno aluna associado associada beneficiario consumidor conta contas fatura faturas
boleto boletos carne parcela parcelas mensalidade mensalidades cobranca cobrancas debito debitos divida dividas titulo
titulos valor valores total totais preco taxa taxas multa juros desconto descontos acrescimo saldo credito creditos
pagamento pagamentos pagar pago paga pagos pagas pague paguem quitar quitada quitado quitacao vence vencem vencer
vencera vencida vencidas vencido vencidos vencimento vencimentos aberto aberta abertos abertas atraso atrasada
atrasado atrasadas atrasados pendente pendentes pendencia pendencias emitida emitido gerada gerado gerar disponivel
disponiveis registrada registrado recebida recebido recebemos receber recebera recebimento confirmado confirmada
confirmamos confirmar confirme confirmacao identificado identificada identificamos baixa compensado compensacao
segunda via vias copia cola codigo codigos barras barra linha digitavel pix chave qr qrcode cartao dinheiro deposito
transferencia banco agencia automatico automatica comprovante recibo nota fiscal contrato contratos plano planos
servico servicos produto produtos assinatura pacote internet fibra banda larga wifi rede sinal conexao velocidade mega
giga mb gb modem roteador equipamento equipamentos tecnico tecnica tecnicos suporte atendimento atendente central
protocolo chamado chamados visita instalacao manutencao reparo troca retirada suspensao suspenso suspensa suspender
bloqueio bloqueado bloqueada bloquear desbloqueio desbloqueado desbloqueada desbloquear liberado liberada liberacao
liberar reativado reativada reativacao reativar cancelado cancelada cancelamento cancelar cancele ativo ativa ativado
ativada ativacao ativar reduzida reduzido reducao corte negativacao protesto acordo negociacao negociar negocie
renegociar renegociacao proposta promessa oferta ofertas promocao promocoes cupom gratis gratuito brinde novidade
novidades evite evitar regularize regularizar regularizacao entrar contato contatos fale falar ligue ligar ligacao
telefone telefones celular whatsapp zap sms mensagem mensagens email e-mail site portal aplicativo app link links
acesse acessar acesso clique clicar baixe baixar consulte consultar solicite solicitar solicitacao pedido pedidos
responda responder resposta digite digitar opcao opcoes sair parar ajuda duvida duvidas caso favor desconsidere
desconsiderar ignore ignorar informe envie enviar enviado enviada enviamos envio anexo anexos segue seguem abaixo
acima atraves mediante conforme referente referencia ref numero numeros n nr no. cpf cnpj rg cep data datas hora horas
horario horarios prazo prazos periodo mes meses ano anos semana semanas util uteis minuto minutos segundo segundos
janeiro fevereiro abril maio junho julho agosto setembro outubro novembro dezembro jan fev mar abr mai jun jul ago set
out nov dez domingo segunda-feira terca quarta quinta sexta sabado feira feriado manha proximo proxima proximos
proximas ultimo ultima ultimos ultimas primeiro primeira primeiros novo nova novos novas atual atuais valido valida
validade expira expirar expirou expirado vencendo senha senhas login token seguranca verificacao verificar verifique
autenticacao autorizacao autorize autorizar compartilhe compartilhar ninguem use usar utilize utilizar cadastro
cadastrar cadastre atualize atualizar atualizacao atualizado dados endereco entrega entregas entregue entregador
entregar saiu chegou chegada chegar coleta rastreio rastrear rastreamento encomenda transportadora loja compra compras
comprar carrinho estoque devolucao reembolso garantia consulta consultas exame exames resultado resultados agendada
agendado agendamento agenda agendar remarcar remarcacao comparecer compareca presenca medico medica dentista clinica
hospital laboratorio vacina receita aula aulas matricula matriculas escola curso cursos prova provas reuniao evento
eventos inscricao inscricoes ingresso reserva reservas voo embarque hotel hospedagem quarto mesa restaurante equipe
empresa grupo unidade departamento setor financeiro financeira comercial vendas relacionamento administracao
condominio sindico associacao cooperativa provedor operadora telecom fornecimento energia eletrica agua gas medidor
leitura consumo kwh interrupcao programada programado falha normalizado normalizada problema problemas solucao
previsao estimada estimado inicio fim termino inicia termina comeca finaliza finalizado finalizada concluido concluida
conclusao realizado realizada realizamos realizar processado processada processamento aprovado aprovada aprovacao
aprovar recusado recusada negado negada analise sucesso erro tente tentar tentativa novamente evolua aproveite garanta
confira conferir assista conheca aguarde aguardamos aguardando esperamos contamos continue continuar permanece
permanecer mantenha manter sentimos precisamos queremos gostariamos pedimos podemos fazemos oferecemos atenciosamente
venceu venceram falta faltam inadimplencia inadimplente restabelecida restabelecido restabelecer qualquer quaisquer
conosco regiao residencia caminho solicitado solicitada chega chegam bem-vindo bem-vinda consta constam localizamos
efetuado efetuada efetuar efetue possui att abraco abracos cordialmente grato grata reais real brl rs r c/ s/ ltda sa
eireli http https www br
"""
# Texts from software that speaks no Portuguese.
ENGLISH = """
the an and or of to in on at for from by with is are was be your you our we it this that not no yes please do don't
hello hi dear customer invoice bill payment paid due amount code password verification login account order delivery
appointment confirm confirmed reply stop help never share anyone expires minutes hours days today tomorrow click here
"""

_FOLD = str.maketrans("áàâãäéèêëíìîïóòôõöúùûüçñ", "aaaaaeeeeiiiiooooouuuucn")


def folded(word: str) -> str:
    """A word in small letters, without accents."""
    return word.lower().translate(_FOLD)


COMMON = frozenset(PORTUGUESE.split()) | frozenset(ENGLISH.split())
SURNAMES = frozenset({"dias", "fiscal", "primo"})  # common words that end names, too
JOINING = frozenset(["de", "da", "do", "das", "dos", "e", "di", "del", "von", "van", "y", "la"])  # inside names
