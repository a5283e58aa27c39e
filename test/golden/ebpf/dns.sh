set -e
mkdir -p /etc/netns/probe-a; echo 'nameserver 10.98.1.2
options timeout:1 attempts:1' > /etc/netns/probe-a/resolv.conf
ip netns add probe-a; ip netns add probe-b
trap 'kill $P 2>/dev/null || true; ip netns del probe-a; ip netns del probe-b; rm -rf /etc/netns/probe-a; rmdir /etc/netns 2>/dev/null || true' EXIT
ip -n probe-a link add eth0 type veth peer name eth0 netns probe-b
ip -n probe-a addr add 10.98.1.1/24 dev eth0; ip -n probe-a link set eth0 up; ip -n probe-a link set lo up
ip -n probe-b addr add 10.98.1.2/24 dev eth0; ip -n probe-b link set eth0 up; ip -n probe-b link set lo up
ip netns exec probe-b dnsmasq --no-daemon --no-resolv --no-hosts --conf-file=/dev/null --user=root --listen-address=10.98.1.2 --bind-interfaces --address=/shop.test/10.98.7.7 --local=/shop.test/ --local=/invalid/ 2>/dev/null & P=$!
sleep 1.5
ip netns exec probe-a /usr/bin/python3 -c "
import socket
print(socket.getaddrinfo('orders.shop.test', 80, type=socket.SOCK_STREAM))
try: print(socket.getaddrinfo('nowhere.invalid', 80))
except OSError as e: print(e)
"
sleep 0.2
