# The power cut: the file system given by a path stops at once and writes nothing more, not even its log.
# EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH; Node has no ioctl.
use strict;
use warnings;
open(my $mount, '<', $ARGV[0]) or die "$ARGV[0]: $!\n";
my $flag = pack('L', 2);
ioctl($mount, 0x8004587d, $flag) or die "ioctl on $ARGV[0]: $!\n";
