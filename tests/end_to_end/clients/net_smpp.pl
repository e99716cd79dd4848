# A transceiver of Net::SMPP: submits one text and waits for its receipt.
# net_smpp.pl PORT SYSTEM_ID PASSWORD SOURCE DEST TEXT; prints JSON lines {"id"} and {"receipt", "stat"}.
use strict;
use warnings;
use Net::SMPP;

my ($port, $system_id, $password, $source, $dest, $text) = @ARGV;
$| = 1;

my ($smpp, $bound) = Net::SMPP->new_transceiver(
    '127.0.0.1', port => $port, system_id => $system_id, password => $password,
) or die "no bind\n";
die 'bind: ' . $bound->explain_status() . "\n" if $bound->status;

my $answer = $smpp->submit_sm(
    source_addr => $source, dest_addr_ton => 1, dest_addr_npi => 1, destination_addr => $dest,
    registered_delivery => 1, short_message => $text,
) or die "no submit_sm_resp\n";
die 'submit_sm: ' . $answer->explain_status() . "\n" if $answer->status;
print qq({"id": "$answer->{message_id}"}\n);

while (my $pdu = $smpp->read_pdu()) {
    if ($pdu->cmd == Net::SMPP::CMD_enquire_link) {
        $smpp->enquire_link_resp(seq => $pdu->seq, status => 0);
        next;
    }
    next unless $pdu->cmd == Net::SMPP::CMD_deliver_sm;
    $smpp->deliver_sm_resp(message_id => '', seq => $pdu->seq, status => 0);
    my ($id, $stat) = $pdu->{short_message} =~ /^id:(\S+) .*stat:(\S+) err:/ or die "not a receipt\n";
    die "not marked as a receipt\n" unless $pdu->{esm_class} & 0x04;
    print qq({"receipt": "$id", "stat": "$stat"}\n);
    $smpp->unbind();
    exit 0;
}
die "the link ended before the receipt\n";
