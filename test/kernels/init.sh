#!/bin/busybox sh
# First process of the virtual machine: records one exchange, and sends the recording out by the second serial port.
# Options of the probe stand on the command line of the kernel: tiers=--sys-tier+syscall+--no-net
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
ip link set lo up
stty -F /dev/ttyS1 raw -echo
tiers=$(sed -n "s,.*tiers=\([^ ]*\).*,\1,p" /proc/cmdline | tr + " ")
echo "KERNEL $(uname -r), probe $tiers"
/fullspan-probe --check
/fullspan-probe --fd 3 --no-unix $tiers 3>/tmp/records &
probe=$!
for i in $(seq 900); do [ "$(stat -c %s /tmp/records)" -gt 300 ] && break; usleep 100000; done
usleep 800000
/exchange 4 write
usleep 1500000
kill -TERM $probe
wait $probe
echo "PROBE ENDED $?"
cat /tmp/records >/dev/ttyS1
echo "BYTES $(stat -c %s /tmp/records)"
usleep 800000
poweroff -f
