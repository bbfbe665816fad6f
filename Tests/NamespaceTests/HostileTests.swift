// 100,000 segments that nobody meant, at each end, without a key and with one: with a key nothing of
// them comes out of the tunnel.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct HostileTests {
    @Test(arguments: Protection.allCases)
    func survivesOnOneWire(protection: Protection) async throws {
      try await withTwoHosts { try storm(protection, from: $0, to: $1) }
    }

    @Test(arguments: Protection.allCases)
    func survivesThroughAStrictRouter(protection: Protection) async throws {
      try await withRoutedHosts { client, _, server in
        try storm(protection, from: client, to: server)
      }
    }
  }
}

private func storm(_ protection: Protection, from client: Host, to server: Host) throws {
  let atClient = try Capture(in: client.namespace, LatestSegments())
  let atServer = try Capture(in: server.namespace, LatestSegments())
  let tunnel = try Tunnel(from: client, to: server, Tunnel.Options(protection))
  let load = Load(size: 1000, rate: 1000, count: 2000)
  _ = try tunnel.exchange(up: load, down: load)
  let samples = [try atClient.finish(), try atServer.finish()]
  let hosts = [client, server]
  // The first tenth warms up whatever is allocated once.
  for (host, sample) in zip(hosts, samples) {
    try inject(10_000, from: host, sample, seed: 1)
  }
  let before = try [tunnel.client, tunnel.server].map { try $0.residentBytes() }
  let chat = try Stream(
    Load(size: 1000, rate: 500, duration: .seconds(60)), from: tunnel.app, to: tunnel.target)
  for (host, sample) in zip(hosts, samples) {
    try inject(100_000, from: host, sample, seed: 2)
  }
  #expect(chat.current.received > 0, "traffic goes on during the storm")
  chat.stop()
  let heard = try chat.finish()
  if protection == .sealed {
    #expect(heard.damaged == 0 && heard.duplicated == 0, "nobody can make a frame that opens")
  }
  for (process, bytes) in zip([tunnel.client, tunnel.server], before) {
    #expect(process.isRunning, "\(process.errors)")
    let growth = try process.residentBytes() - bytes
    #expect(
      growth < 1 << 20 || Installation.isSanitized, "\(process.command) grew by \(growth) bytes")
  }
  // The router has seen forged RSTs: the ends find out which channels that cost. Without a key a
  // forged frame is a frame: whatever came of that is not counted either.
  let healing = Load(size: 1000, rate: 200, duration: .seconds(3), seed: 4)
  _ = try tunnel.exchange(up: healing, down: healing)
  try tunnel.app.drain()
  try tunnel.target.drain()
  let after = Load(size: 1000, rate: 1000, count: 2000, seed: 3)
  let (up, down) = try tunnel.exchange(up: after, down: after)
  #expect(up.isComplete(after) && down.isComplete(after), "\(up) \(down)")
  try tunnel.stop()
}

/// Sends mutants of what `host` itself has sent, some 50,000 a second.
private func inject(
  _ count: Int, from host: Host, _ sample: LatestSegments, seed: UInt64
) throws {
  let injector = try Injector(from: host)
  let models = sample.samples(from: host.address)
  #expect(models.count > 20, "samples")
  var random = SeededRandom(seed: seed)
  for number in 0..<count {
    let model = models.randomElement(using: &random)!
    try injector.send(Forgery.mutation(of: model, with: &random))
    if number % 50 == 0 { try pause(.milliseconds(1)) }
  }
}
