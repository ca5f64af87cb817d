#!/usr/bin/perl
# A small HTTP/1.1 server in Perl's core modules, to show that a service need not be Python.
#
# One process per connection and one request per connection: nothing to share, nothing to leak. It listens on
# $HOST:$PORT, answers /livez and /readyz, and on SIGTERM stops accepting and lets running requests finish.
use strict;
use warnings;
use Errno qw(EINTR);
use IO::Select;
use IO::Socket::INET;
use POSIX qw(:sys_wait_h strftime);

my $PROCESSES_MAX = 32;             # connections at once; more wait in the kernel
my $HEAD_BYTES_MAX = 32 * 1024;
my $REQUEST_S_MAX = 30;             # a connection that takes longer is cut
my $LINGER_S_MAX = 2;               # how long an answered client may take to read and close

my $host = $ENV{HOST} || '127.0.0.1';
my $port = $ENV{PORT} or die "PORT is not set: start me with `colonnade up`, or PORT=8000 perl server.pl\n";
my $replica = $ENV{COLONNADE_REPLICA} // 'no replica';

my %pages = (
    '/' => sub { "Hello from $replica, Perl $^V (process $$)\n" },
    '/livez' => sub { "ok\n" },
    '/readyz' => sub { "ok\n" },
    '/slow' => sub {
        my ($query) = @_;
        my ($ms) = $query =~ /(?:^|&)ms=(\d{1,5})(?:&|$)/;
        select undef, undef, undef, ($ms // 100) / 1000;
        return "waited\n";
    },
);

my $listener = IO::Socket::INET->new(
    LocalAddr => $host, LocalPort => $port, Proto => 'tcp', Listen => 128, ReuseAddr => 1,
) or die "cannot listen on $host:$port: $@\n";

my $stopping = 0;
$SIG{TERM} = $SIG{INT} = sub { $stopping = 1 };
$SIG{PIPE} = 'IGNORE';              # a client that went away is an error of print, not the end of us

STDOUT->autoflush(1);
print "listening on 127.0.0.1:$port\n";

my %children;
my $ready = IO::Select->new($listener);
until ($stopping) {
    reap(WNOHANG);
    if (keys %children >= $PROCESSES_MAX) {
        select undef, undef, undef, 0.01;
        next;
    }
    # Not a bare accept: a SIGTERM just before it would go unnoticed until the next connection.
    next unless $ready->can_read(0.25);
    my $client = $listener->accept or next;
    my $child = fork;
    if (!defined $child) {
        warn "cannot fork: $!\n";   # the connection is closed, the gateway asks another replica
    } elsif ($child == 0) {
        $SIG{TERM} = $SIG{INT} = 'IGNORE';
        $SIG{ALRM} = 'DEFAULT';
        close $listener;
        alarm $REQUEST_S_MAX;
        serve($client);
        POSIX::_exit(0);
    } else {
        $children{$child} = 1;
    }
    close $client;
}
close $listener;
reap(0) while %children;            # each is bounded by its alarm
print "stopped\n";

# Forget children that ended; with 0 wait for one.
sub reap {
    my ($flags) = @_;
    while ((my $child = waitpid -1, $flags) > 0) {
        delete $children{$child};
        return unless $flags;
    }
    %children = () if $!{ECHILD};
}

# Answer the one request of a connection.
sub serve {
    my ($client) = @_;
    my $head = read_head($client);
    return unless defined $head;
    my ($method, $target) = $head =~ m{^([A-Z]+) (/\S*) HTTP/1\.[01]\r?\n} or return answer($client, 400, "Bad Request");
    return answer($client, 405, "Method Not Allowed", "", "Allow: GET, HEAD\r\n") if $method !~ /^(?:GET|HEAD)$/;
    my ($path, $query) = split /\?/, $target, 2;
    my $page = $pages{$path} or return answer($client, 404, "Not Found");
    answer($client, 200, "OK", $page->($query // ''), "", $method eq 'HEAD');
}

# The head of a request (and what came with it of a body, which no page here wants); nothing when the client left
# or sent too much.
sub read_head {
    my ($client) = @_;
    my $data = '';
    until ($data =~ /\r?\n\r?\n/) {
        if (length $data > $HEAD_BYTES_MAX) {
            answer($client, 431, "Request Header Fields Too Large");
            return;
        }
        my $count = sysread $client, $data, 8192, length $data;
        next if !defined $count && $! == EINTR;
        return unless $count;
    }
    return $data;
}

sub answer {
    my ($client, $status, $reason, $body, $fields, $head_only) = @_;
    $body = "$reason\n" unless defined $body && length $body;
    my $date = strftime '%a, %d %b %Y %H:%M:%S GMT', gmtime;
    print $client "HTTP/1.1 $status $reason\r\nDate: $date\r\nContent-Type: text/plain; charset=utf-8\r\n",
        "Content-Length: ", length $body, "\r\nConnection: close\r\n", $fields // '', "\r\n", $head_only ? '' : $body;
    # Wait for the client's end: closing on bytes we have not read would reset what it has not read either.
    $client->flush;
    $client->shutdown(1);
    alarm $LINGER_S_MAX;
    1 while sysread $client, my $ignored, 65536;
}
