#!/usr/bin/perl
# The service of a chaos run, its hooks and its once steps, all in one: each leaves a line in the record when it begins and
# one when it ends. It is Perl because every Debian has it and it starts in a few milliseconds.
use strict;
use warnings;
use Fcntl qw(O_WRONLY O_APPEND);
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);

my ($name) = @ARGV;
my ($host, $version) = @ENV{qw(FLEET_HOST FLEET_VERSION)};

sub record {
    my ($event) = @_;
    my $at = clock_gettime(CLOCK_MONOTONIC) * 1000;
    sysopen(my $file, $ENV{RECORD}, O_WRONLY | O_APPEND) or die "$ENV{RECORD}: $!";
    syswrite $file, sprintf qq({"at":%.3f,"host":"%s","version":"%s","name":"%s","event":"%s","pid":%d}\n),
        $at, $host, $version, $name, $event, $$;
}

record('begin');
if ($name eq 'service') { serve() }
elsif ($name eq 'smoke') { look() }
else { sleep(0.05 + rand 0.15) }
record('end');

# Ends it where the service that answers is not this version, or not well.
sub look {
    my $service = IO::Socket::INET->new(PeerAddr => '127.0.0.1:8080', Timeout => 2) or die "8080: $@";
    syswrite $service, "GET / HTTP/1.0\r\n\r\n";
    my $answer = join '', <$service>;
    die "answered $answer" unless $answer =~ m{^HTTP/1.1 200 } && $answer =~ /"version":"\Q$version\E"/;
}

sub serve {
    my $ends = 0;
    $SIG{TERM} = sub { $ends = 1 };
    $SIG{PIPE} = 'IGNORE';
    my $status = -e 'broken' ? '500 Broken' : '200 OK';
    my $body = qq({"host":"$host","version":"$version"}\n);
    my $answer = "HTTP/1.1 $status\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    my $door = IO::Socket::INET->new(LocalPort => 8080, Listen => 128, ReuseAddr => 1) or die "8080: $!";
    my $open = IO::Select->new($door);
    until ($ends) {
        for my $socket ($open->can_read(0.5)) {
            if ($socket == $door) {
                my $client = $door->accept or next;
                $open->add($client);
            } else {
                syswrite $socket, $answer if sysread $socket, my $request, 65536;
                $open->remove($socket);
                close $socket;
            }
        }
    }
}
