#!/usr/bin/perl
# A cache client in Perl (Cache::Memcached::Fast), driven by lines of JSON;
# cache.py tells the protocol.
#
# usage: cache.pl modula|ketama SERVER...

use strict;
use warnings;
use Cache::Memcached::Fast;
use JSON::PP;
use MIME::Base64;

$| = 1;
my $placement = shift;
my $c = Cache::Memcached::Fast->new({
    servers         => [@ARGV],
    connect_timeout => 60,
    io_timeout      => 60,
    $placement eq 'ketama' ? (ketama_points => 150) : (),
});
my %token;

sub value { decode_base64($_[0]{bytes} // '') }
sub bytes { defined $_[0] ? { type => 'bytes', bytes => encode_base64($_[0], '') } : undef }
sub flag  { $_[0] ? JSON::PP::true : JSON::PP::false }

# Fast answers undef when the server could not be asked, '' when it refused.
sub done {
    my ($ok) = @_;
    return { error => 'no answer' } unless defined $ok;
    return { ok => flag($ok) };
}

sub answer {
    my ($r) = @_;
    my ($op, $key, $ttl) = @$r{qw(op key ttl)};
    my @ttl = $ttl ? ($ttl) : ();
    if ($op =~ /^(?:set|add|replace)$/) { return done($c->$op($key, value($r->{value}), @ttl)) }
    if ($op =~ /^(?:append|prepend)$/)  { return done($c->$op($key, value($r->{value}))) }
    if ($op eq 'get')  { return { value => bytes($c->get($key)) } }
    if ($op eq 'gets') {
        my $got = $c->gets($key) or return { value => undef };
        $token{$key} = $got->[0];
        return { value => bytes($got->[1]) };
    }
    if ($op eq 'cas')    { return done($c->cas($key, $token{$key}, value($r->{value}), @ttl)) }
    if ($op eq 'delete') { return done($c->delete($key)) }
    if ($op eq 'touch')  { return done($c->touch($key, $ttl)) }
    if ($op =~ /^(?:incr|decr)$/) {
        my $n = $c->$op($key, $r->{delta});
        return { error => 'no answer' } unless defined $n;
        return { ok => flag($n ne ''), number => $n eq '' ? 0 : $n + 0 };
    }
    if ($op eq 'get_multi') {
        my $got = $c->get_multi(@{ $r->{keys} });
        return { values => { map { $_ => bytes($got->{$_}) } keys %$got } };
    }
    if ($op eq 'set_multi') {
        $c->set_multi(map { [$_, value($r->{values}{$_}), @ttl] } keys %{ $r->{values} });
        return { ok => flag(1) };
    }
    if ($op eq 'delete_multi') { $c->delete_multi(@{ $r->{keys} }); return { ok => flag(1) } }
    if ($op eq 'flush')        { $c->flush_all; return { ok => flag(1) } }
    return { error => "unknown operation $op" };
}

print "ready\n";
while (my $line = <STDIN>) {
    print encode_json(answer(decode_json($line))), "\n";
}
