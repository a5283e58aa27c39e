import t from 'tap'
import { createFlow, type FlowOptions } from '../../flow/index.ts'
import { redactCommandLine } from '../../flow/redact-command-line.ts'
import { containerIdOf, podUidOf, systemdUnitOf } from '../../flow/service-name.ts'
import { createCapture } from '../helpers/capture.ts'

const id = 'ab12'.repeat(16)
const uid = '0f3c6f52-1d7a-4b8e-9c1d-2a5b6c7d8e9f'
const inSlice = uid.replaceAll('-', '_')

t.test('containers, pods and units by the paths that runtimes give them', t => {
  const none = ''
  for (const [path, container, pod, unit] of [
    ['/', none, none, none],
    [`/docker/${id}`, id, none, none],
    [`/docker/${id}/init.scope`, id, none, none],
    [`/system.slice/docker-${id}.scope`, id, none, none],
    [`/kubepods/besteffort/pod${uid}/${id}`, id, uid, none],
    [`/kubepods/pod${uid}/${id}/deeper/still`, id, uid, none],
    [
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${inSlice}.slice/cri-containerd-${id}.scope`,
      id,
      uid,
      none,
    ],
    [
      `/system.slice/containerd.service/kubepods-burstable-pod${inSlice}.slice:cri-containerd:${id}`,
      id,
      uid,
      none,
    ],
    [`/kubepods.slice/kubepods-pod${inSlice}.slice/crio-${id}.scope/container`, id, uid, none],
    [`/kubepods/burstable/pod${'0123456789abcdef'.repeat(2)}/${id}`, id, '0123456789abcdef'.repeat(2), none],
    [`/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${inSlice}.slice`, none, uid, none],
    [`/machine.slice/libpod-${id}.scope/container`, id, none, none],
    [`/machine.slice/libpod-conmon-${id}.scope`, none, none, none],
    [`/libpod_parent/libpod-${id}`, id, none, none],
    [`/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${id}.scope/container`, id, none, none],
    [`/../../docker-${id}.scope`, id, none, none],
    ['/system.slice/nginx.service', none, none, 'nginx'],
    ['/system.slice/system-orders.slice/orders@blue.service/worker', none, none, 'orders@blue'],
    ['/system.slice/my\\x2dshop.service', none, none, 'my-shop'],
    ['/user.slice/user-1000.slice/user@1000.service/app.slice/notes.service', none, none, 'notes'],
    ['/user.slice/user-1000.slice/user@1000.service/init.scope', none, none, none],
    ['/user.slice/user-1000.slice/session-3.scope', none, none, none],
    [`/${id}0`, none, none, none],
    [`/${id.slice(1)}`, none, none, none],
  ] as const) {
    t.same([containerIdOf(path), podUidOf(path), systemdUnitOf(path)], [container, pod, unit], path)
  }
  t.end()
})

t.test('no secret is left in a command line, and nothing else is taken', t => {
  const gone = '[REDACTED]'
  for (const [given, left] of [
    ['mysqld --datadir=/var/lib/mysql', 'mysqld --datadir=/var/lib/mysql'],
    ['mysql -u shop -psecret shop', `mysql -u shop -p${gone} shop`],
    ['mariadb-dump -p --all', 'mariadb-dump -p --all'],
    ['redis-cli -a secret GET x', `redis-cli -a ${gone} GET x`],
    ['redis-server *:6379 --requirepass secret', `redis-server *:6379 --requirepass ${gone}`],
    ['app --password secret --port 80', `app --password ${gone} --port 80`],
    ['app --db-password=secret --port 80', `app --db-password=${gone} --port 80`],
    ['env API_TOKEN=secret app', `env API_TOKEN=${gone} app`],
    [
      'java -Dspring.datasource.password=secret -jar a.jar',
      `java -Dspring.datasource.password=${gone} -jar a.jar`,
    ],
    ['app postgres://shop:secret@db:5432/shop', `app postgres://${gone}@db:5432/shop`],
    ['app shop:secret@tcp(db:3306)/shop', `app ${gone}@tcp(db:3306)/shop`],
    ['curl https://x.test/?a=1&token=secret&b=2', `curl https://x.test/?a=1&token=${gone}&b=2`],
    ['curl -H Authorization: Bearer secret x.test', `curl -H Authorization: Bearer ${gone} x.test`],
    ['curl -H X-Api-Key: secret x.test', `curl -H X-Api-Key: ${gone} x.test`],
    ['curl -u shop:secret x.test', `curl -u ${gone} x.test`],
    ['deploy ghp_secretsecretsecret', `deploy ${gone}`],
    ['deploy eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2VjcmV0', `deploy ${gone}`],
    ['aws AKIASECRETSECRETS12', `aws ${gone}`],
    ['sshpass -p secret ssh host', `sshpass -p ${gone} ssh host`],
    ['ssh -p 22 git@github.test:a/b', 'ssh -p 22 git@github.test:a/b'],
    ['node --max-old-space-size=512 server.js', 'node --max-old-space-size=512 server.js'],
    ['nginx: worker process', 'nginx: worker process'],
    ['python3 -m http.server 8080', 'python3 -m http.server 8080'],
  ] as const) {
    t.equal(redactCommandLine(given), left, given)
    t.notMatch(redactCommandLine(given), /secret/i)
    t.equal(redactCommandLine(redactCommandLine(given)), left, 'twice is once')
  }
  t.end()
})

/** Of one served request: the resource of the server's span. */
function resourceOf(
  options: FlowOptions,
  process: Partial<Parameters<ReturnType<typeof createCapture>['process']>[1]>,
) {
  const capture = createCapture()
  capture.host()
  capture.clock()
  capture.process(7, process)
  const socket = capture.socket({
    cookie: 1n,
    local: '10.0.0.1:8080',
    remote: '10.0.0.2:4000',
    role: 'server',
    pid: 7,
  })
  socket.receive('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  capture.add({ type: 'process_exit', pid: 7, timeNs: capture.now() })
  socket.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  const flow = createFlow(options)
  const [first] = [...flow.push(capture.events), ...flow.flush()]
  return first?.resource
}

t.test('a service is named by the first rule that knows it; exited processes still are', t => {
  const process = {
    name: 'python3',
    executable: '/usr/bin/python3',
    commandLine: 'python3 orders.py --token=secret',
    cgroup: `/kubepods/pod${uid}/${id}`,
    serviceName: 'given',
  }
  const named = (serviceNames: FlowOptions['serviceNames'], more = {}) =>
    resourceOf({ serviceNames }, { ...process, ...more })?.text('service.name')
  t.equal(named(undefined), 'given')
  t.equal(named(undefined, { serviceName: '' }), 'orders')
  t.equal(named(['executable', 'environment']), 'orders')
  t.equal(named(['container', 'environment']), id.slice(0, 12))
  t.equal(named(['systemd_unit', 'port']), 'port-8080')
  t.equal(named(['systemd_unit'], { cgroup: '/system.slice/shop.service' }), 'shop')
  t.equal(named([]), 'orders', 'without rules the program')
  const resource = resourceOf({}, process)
  t.equal(resource?.text('k8s.pod.uid'), uid)
  t.equal(resource?.text('container.id'), id)
  t.equal(resource?.text('process.command_line'), 'python3 orders.py --token=[REDACTED]')
  t.end()
})
