D=$(mktemp -d); redis-server --port 36379 --bind 127.0.0.1 --save '' --dir $D --daemonize no >/dev/null & P=$!
sleep 0.5
redis-cli -p 36379 <<'R'
SET greeting "hello world"
GET greeting
GET missing
INCR hits
LPUSH list a b c
LRANGE list 0 -1
HSET user:1 name Ada born 1815
HGETALL user:1
LPUSH greeting x
MULTI
INCR hits
GET hits
EXEC
R
/usr/bin/python3 - <<'P'
import socket
s = socket.create_connection(('127.0.0.1', 36379))
s.sendall(b'*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nabc\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n')  # pipelined
print(s.recv(100)); s.close()
P
kill $P; wait $P; rm -rf $D
