// 100,000 packets that nobody meant, at each end, on every carrier, without a key and with one: with a
// key nothing of them comes out of the tunnel.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(5))) struct HostileTests {
    @Test(arguments: TunnelKind.types("tcp", "udp", "icmp"), Protection.allCases)
    func survivesGarbage(type: String, protection: Protection) async throws {
      try await onOneWireAndThroughARouter(type, protection) { kind, place, client, server in
        try storm(kind, place, from: client, to: server)
      }
    }
  }
}

private func storm(_ kind: TunnelKind, _ place: String, from client: Host, to server: Host) throws {
  let context = "\(kind.testDescription), \(place)"
  let hosts = [client, server]
  let captures = try hosts.map { try Capture(in: $0.namespace, Specimens()) }
  let tunnel = try Tunnel(from: client, to: server, kind.options)
  let processes = [tunnel.client, tunnel.server]
  let load = Load(size: 1000, rate: 1000, count: 2000)
  _ = try tunnel.exchange(up: load, down: load)
  let models = try zip(hosts, captures).map { host, capture in
    try capture.finish().packets[host.address(kind.family), default: []]
  }
  // The first tenth warms up whatever is allocated once.
  for (host, own) in zip(hosts, models) {
    try inject(10_000, of: own, from: host, kind.family, seed: 1)
  }
  try expectNoGrowth(of: processes, context) {
    let chat = try Stream(
      Load(size: 1000, rate: 500, duration: .seconds(60)), from: tunnel.app, to: tunnel.target)
    for (host, own) in zip(hosts, models) {
      try inject(100_000, of: own, from: host, kind.family, seed: 2)
    }
    #expect(chat.current.received > 0, "\(context): traffic goes on during the storm")
    chat.stop()
    let heard = try chat.finish()
    #expect(
      kind.protection == .plain || heard.damaged == 0 && heard.duplicated == 0,
      "\(context): nobody can make a frame that opens: \(heard)")
  }
  // The router has seen forged RSTs: the ends find out which channels that cost. Without a key a
  // forged frame is a frame: whatever came of that is not counted either.
  let healing = Load(size: 1000, rate: 200, duration: .seconds(3), seed: 4)
  _ = try tunnel.exchange(up: healing, down: healing)
  try tunnel.app.drain()
  try tunnel.target.drain()
  try expectTraffic(over: tunnel, kind, context)
  try tunnel.stop()
  for process in processes {
    let drops = try process.drops()
    #expect(drops.values.reduce(0, +) > 1000, "\(context): it did see them: \(drops)")
  }
}

/// Checks that `storm` neither ends the processes nor makes them grow.
private func expectNoGrowth(
  of processes: [ChildProcess], _ context: String, during storm: () throws -> Void
) throws {
  let before = try processes.map { try $0.residentBytes() }
  try storm()
  for (process, bytes) in zip(processes, before) {
    #expect(process.isRunning, "\(context): \(process.errors)")
    let growth = try process.residentBytes() - bytes
    #expect(
      growth < 1 << 20 || Installation.isSanitized,
      "\(context): \(process.command) grew by \(growth) bytes")
  }
}

/// Without a key a channel of datagrams that has believed a forged number loses some more.
private func expectTraffic(over tunnel: Tunnel, _ kind: TunnelKind, _ context: String) throws {
  let load = Load(size: 1000, rate: 1000, count: 2000, seed: 3)
  let (up, down) = try tunnel.exchange(up: load, down: load)
  for receipt in [up, down] {
    let isWell =
      kind.protection == .sealed || kind.type == "tcp"
      ? receipt.isComplete(load) : receipt.received >= 1900 && receipt.damaged == 0
    #expect(isWell, "\(context): \(up) \(down)")
  }
}

/// Sends mutants of what `host` itself has sent, some 50,000 a second.
private func inject(
  _ count: Int, of models: [[UInt8]], from host: Host, _ family: AddressFamily, seed: UInt64
) throws {
  let injector = try Injector(from: host, family)
  try #require(models.count > 20, "samples")
  var random = SeededRandom(seed: seed)
  for number in 0..<count {
    let model = models.randomElement(using: &random)!
    try injector.send(Forgery.mutation(of: model, with: &random))
    if number % 50 == 0 { try pause(.milliseconds(1)) }
  }
}

/// Keeps packets of each host, to make mutants of.
private struct Specimens: PacketObserver {
  private(set) var packets: [IPAddress: [[UInt8]]] = [:]

  mutating func observe(_: CapturedPacket, bytes: RawSpan) {
    let source = bytes.addresses.source
    guard packets[source, default: []].count < 300, bytes.byteCount <= 1500 else { return }
    packets[source, default: []].append((0..<bytes.byteCount).map { bytes.byte(at: $0) })
  }
}
