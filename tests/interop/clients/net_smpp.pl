# The walk of a client, with Net::SMPP: see tests/interop/walk.py for what it has to do and to say.
# net_smpp.pl PORT SYSTEM_ID PASSWORD transceiver SOURCE DEST TEXT...
use strict;
use warnings;
use Encode qw(decode encode);
use JSON::PP;
use Net::SMPP;

my ($port, $system_id, $password, $mode, $source, $dest, @texts) = @ARGV;
die "this client only binds as a transceiver\n" unless $mode eq 'transceiver';
$| = 1;

sub say_so { print JSON::PP->new->canonical->encode({@_}), "\n" }

sub bind_with {
    my ($word) = @_;
    my ($smpp, $bound) = Net::SMPP->new_transceiver(
        '127.0.0.1', port => $port, system_id => $system_id, password => $word,
    );
    die "no bind response\n" unless $smpp && $bound;
    return ($smpp, $bound->status);
}

# The module encodes and cuts nothing: plain words go in the default alphabet, everything else in UCS-2 with a header.
sub parts {
    my ($text, $reference) = @_;
    my $plain = $text =~ m{^[A-Za-z0-9 .,:/]*$};
    my ($coding, $octets) = $plain ? (0, $text) : (8, encode('UTF-16BE', $text));
    my ($whole, $size) = $plain ? (160, 153) : (140, 134);
    return ([$coding, 0, $octets]) if length $octets <= $whole;
    my @cut;
    while (length $octets) {
        my $end = $size;
        $end -= 2 if !$plain && length $octets > $end && (ord(substr $octets, $end - 2, 1) & 0xfc) == 0xd8;
        push @cut, substr $octets, 0, $end, '';
    }
    my $i = 0;
    return map { [$coding, 0x40, pack('C6', 5, 0, 3, $reference, scalar @cut, ++$i) . $_] } @cut;
}

my ($stranger, $status) = bind_with('wr0ng');
say_so(refused => $status);
close $stranger;

my $smpp;
($smpp, $status) = bind_with($password);
die "bind: $status\n" if $status;
say_so(bound => $mode);
${*$smpp}{async} = 1;

$smpp->enquire_link();
my ($submits, $reference, $replied, $asked, $enquired) = (0, 0);
my (%ids, %receipts);
for my $text (map { decode('UTF-8', $_) } @texts) {
    for my $part (parts($text, ++$reference)) {
        my ($coding, $esm_class, $octets) = @$part;
        $smpp->submit_sm(
            source_addr => $source, dest_addr_ton => 1, dest_addr_npi => 1, destination_addr => $dest,
            registered_delivery => 1, data_coding => $coding, esm_class => $esm_class, short_message => $octets,
        ) or die "submit_sm cannot be written\n";
        $submits++;
    }
}

sub done { return keys %ids == $submits && !(grep { !$receipts{$_} } keys %ids) && $replied && $asked && $enquired }

until (done()) {
    my $pdu = $smpp->read_pdu() or die "the link ended\n";
    my $cmd = $pdu->cmd;
    if ($cmd == Net::SMPP::CMD_enquire_link) {
        $smpp->enquire_link_resp(seq => $pdu->seq, status => 0);
        say_so(asked => JSON::PP::true) unless $asked;
        $asked = 1;
    } elsif ($cmd == Net::SMPP::CMD_enquire_link_resp) {
        $enquired = 1;
        say_so(enquired => $pdu->status);
    } elsif ($cmd == Net::SMPP::CMD_submit_sm_resp) {
        die 'submit_sm: ' . $pdu->explain_status() . "\n" if $pdu->status;
        $ids{$pdu->{message_id}} = 1;
        say_so(id => $pdu->{message_id});
    } elsif ($cmd == Net::SMPP::CMD_deliver_sm) {
        $smpp->deliver_sm_resp(message_id => '', seq => $pdu->seq, status => 0);
        if (!($pdu->{esm_class} & 0x3c)) {
            $replied = 1;
            my $text = $pdu->{data_coding} == 8 ? decode('UTF-16BE', $pdu->{short_message}) : $pdu->{short_message};
            say_so(reply => $text, source => $pdu->{source_addr});
            next;
        }
        die "not marked as a receipt\n" unless $pdu->{esm_class} & 0x04;
        my ($id, $stat, $err) = $pdu->{short_message} =~ /^id:(\S+) .*stat:(\S+) err:(\S+) text:/ or die "no receipt\n";
        die "the TLV names another message\n" unless $pdu->{receipted_message_id} =~ /^\Q$id\E\0?$/;
        $receipts{$id} = 1;
        say_so(receipt => $id, stat => $stat, err => $err);
    } else {
        die "unexpected command $cmd\n";
    }
}

my $seq = $smpp->unbind();
while (my $pdu = $smpp->read_pdu()) {
    next unless $pdu->cmd == Net::SMPP::CMD_unbind_resp;
    say_so(unbound => $pdu->status);
    exit 0;
}
die "no unbind_resp\n";
