set -e
ip netns add probe-a; ip netns add probe-b
trap 'kill $P 2>/dev/null || true; iptables -t nat -D PREROUTING -i probe-va0 -p tcp --dport 80 -j DNAT --to 10.97.2.2:8080; iptables -t nat -D POSTROUTING -o probe-vb0 -j MASQUERADE;  iptables -D FORWARD -i probe-va0 -j ACCEPT;  iptables -D FORWARD -i probe-vb0 -j ACCEPT; ip netns del probe-a; ip netns del probe-b; sysctl -qw net.ipv4.ip_forward=$F' EXIT
F=$(sysctl -n net.ipv4.ip_forward); sysctl -qw net.ipv4.ip_forward=1
ip link add probe-va0 type veth peer name eth0 netns probe-a
ip link add probe-vb0 type veth peer name eth0 netns probe-b
ip addr add 10.97.1.1/24 dev probe-va0; ip link set probe-va0 up
ip addr add 10.97.2.1/24 dev probe-vb0; ip link set probe-vb0 up
ip -n probe-a addr add 10.97.1.2/24 dev eth0; ip -n probe-a link set eth0 up; ip -n probe-a link set lo up; ip -n probe-a route add default via 10.97.1.1
ip -n probe-b addr add 10.97.2.2/24 dev eth0; ip -n probe-b link set eth0 up; ip -n probe-b link set lo up; ip -n probe-b route add default via 10.97.2.1
iptables -t nat -A PREROUTING -i probe-va0 -p tcp --dport 80 -j DNAT --to 10.97.2.2:8080
iptables -t nat -A POSTROUTING -o probe-vb0 -j MASQUERADE
iptables -I FORWARD -i probe-va0 -j ACCEPT; iptables -I FORWARD -i probe-vb0 -j ACCEPT
mkdir -p /tmp/fullspan-www; echo hello > /tmp/fullspan-www/hello.txt
cd /tmp/fullspan-www; ip netns exec probe-b /usr/bin/python3 -m http.server 8080 2>/dev/null & P=$!
cd /
sleep ${1:-1.5}
ip netns exec probe-a curl -s http://10.97.1.1/hello.txt -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' http://10.97.1.1/missing.txt >/dev/null
sleep 0.3
