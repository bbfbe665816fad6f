// Floods of SYNs, of garbage and of clients that have a key: none of them costs a server memory, or an
// honest client its datagrams.

import Crypto
import Engine
import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(3))) struct FloodTests {
    @Test func floodsCostNeitherMemoryNorDatagrams() async throws {
      try await withIntruder { client, server, intruder in
        let keys = try Keys()
        var options = Tunnel.Options()
        options.server = ["--key-file=\(keys.serverFile)", "--limits=sessions=64"]
        options.client = ["--key-file=\(keys.clientFile)"]
        let recording = try Capture(in: server.namespace, Recording())
        let tunnel = try Tunnel(from: client, to: server, options)
        let opening = try recording.finish().packets(from: client)
        // More than the honest traffic, so that all that is allocated once is allocated.
        let load = Load(size: 1400, rate: 20_000, duration: .seconds(2))
        _ = try tunnel.exchange(up: load, down: load)
        let before = try tunnel.server.residentBytes()

        try expectHonestTraffic(over: tunnel, "SYNs") {
          try floodSYNs(500_000, from: intruder, to: server)
        }
        try expectHonestTraffic(over: tunnel, "garbage") {
          try floodGarbage(100_000, after: opening, from: intruder, to: server)
        }
        try expectHonestTraffic(over: tunnel, "clients") {
          try floodHandshakes(10_000, with: keys.greedy, from: intruder, to: server)
        }
        let growth = try tunnel.server.residentBytes() - before
        #expect(
          growth < 8_000_000 || Installation.isSanitized, "the server grew by \(growth) bytes")
        try tunnel.stop()
        let drops = try tunnel.server.drops()
        for reason in ["badHello", "unknownKey", "badHandshake", "handshakeLimit", "sessionLimit"] {
          #expect(drops[reason, default: 0] > 0, "\(reason): \(drops)")
        }
      }
    }
  }
}

/// 300 keys of a server; one of them is an honest client's, one is a greedy one's.
private struct Keys {
  let serverFile: String
  let clientFile: String
  let greedy: NamedKey

  init() throws {
    var random = SeededRandom(seed: 300)
    let keys = (0..<300).map { number in
      NamedKey(
        name: "client-\(number)",
        key: SecretKey { bytes in
          for offset in stride(from: 0, to: SecretKey.byteCount, by: 8) {
            bytes.set(random.next(), at: offset)
          }
        })
    }
    serverFile = try Installation.writeKeys(
      keys.map { "\($0.name) \($0.key.base64)" }, to: "300-keys")
    clientFile = try Installation.writeKeys([keys[0].key.base64], to: "one-of-300-keys")
    greedy = keys[299]
  }
}

/// Sends 20 Mbit/s each way, of which 99 % have to arrive, until `flood` is over.
private func expectHonestTraffic(
  over tunnel: Tunnel, _ name: String, while flood: () throws -> Void
) throws {
  let load = Load(size: 1400, rate: 1800, duration: .seconds(120))
  let up = try Stream(load, from: tunnel.app, to: tunnel.target)
  let down = try Stream(load, from: tunnel.target, to: tunnel.app)
  do {
    defer {
      up.stop()
      down.stop()
    }
    try flood()
  }
  for (direction, stream) in [("up", up), ("down", down)] {
    let receipt = try stream.finish()
    let (sent, received) = (receipt.sent, receipt.received)
    #expect(receipt.damaged == 0 && receipt.duplicated == 0, "\(name), \(direction): \(receipt)")
    #expect((sent - received) * 100 < sent, "\(name), \(direction): \(receipt)")
  }
}

/// SYNs from random addresses, 50,000 a second; nearly all are answered.
private func floodSYNs(_ count: Int, from intruder: Host, to server: Host) throws {
  let injector = try Injector(from: intruder)
  var random = SeededRandom(seed: 1)
  let before = try intruder.receivedPackets()
  let start = now()
  try paced(count, rate: 50_000) { numbers in
    try injector.send(numbers.map { _ in syn(to: server, using: &random) })
  }
  let elapsed = now() - start
  #expect(elapsed < .seconds(15), "this machine makes no such flood: \(elapsed)")
  let answers = try intruder.receivedPackets() - before
  #expect(answers * 10 > count * 9, "\(answers) answers")
}

private func syn(to server: Host, using random: inout SeededRandom) -> [UInt8] {
  let port = UInt16.random(in: 10_001...10_010, using: &random)
  return Forgery.packet(
    .syn(
      from: .behindIntruder(using: &random), to: Endpoint(server.address, port),
      sequence: .random(in: 0 ... .max, using: &random)))
}

/// Connections from random addresses whose first payloads are garbage, 10,000 a second.
private func floodGarbage(
  _ count: Int, after opening: [[UInt8]], from intruder: Host, to server: Host
) throws {
  let injector = try Injector(from: intruder)
  var tap = try PacketTap(at: intruder)
  var random = SeededRandom(seed: 2)
  let models = try garbage(after: opening, using: &random)
  var due = DueCount(rate: 10_000)
  var sent = 0
  while sent < count {
    var packets = (0..<due.take(atMost: 64)).map { _ in syn(to: server, using: &random) }
    try tap.receive { bytes in
      guard let answer = CapturedPacket(parsing: bytes)?.segment, answer.flags == [.syn, .ack]
      else { return }
      let payload = models[sent % models.count]
      packets.append(
        Forgery.packet(
          CapturedSegment(
            from: answer.destination, to: answer.source, sequence: answer.acknowledgement,
            acknowledgement: answer.end, flags: .ack, window: 502, payloadCount: payload.count),
          payload: payload))
      sent += 1
    }
    try injector.send(packets)
  }
}

/// First payloads of strangers: noise, other protocols, frames, and what looks like a first message,
/// with an unknown hint and with one that was captured.
private func garbage(
  after opening: [[UInt8]], using random: inout SeededRandom
) throws -> [[UInt8]] {
  func noise(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
  }
  func record(_ header: [UInt8], _ content: [UInt8]) -> [UInt8] {
    header + [UInt8(content.count >> 8), UInt8(content.count & 255)] + content
  }
  let first = try #require(
    opening.lazy.compactMap { packet in
      CapturedPacket.parsing(packet)?.segment.map { Array(packet.suffix($0.payloadCount)) }
    }.first { $0.prefix(3) == [0x16, 3, 1] })
  return [
    noise(1), noise(300), noise(1400), Array("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".utf8),
    record([0x17, 3, 3], noise(600)), record([0x16, 3, 1], noise(500)),
    record([0x16, 3, 1], noise(4) + [1] + noise(400)),
    record([0x16, 3, 1], noise(4) + [2] + noise(400)),
    Array(first.prefix(10)) + noise(first.count - 10),
  ]
}

/// Valid first messages of one key, 1,500 a second.
private func floodHandshakes(
  _ count: Int, with key: NamedKey, from intruder: Host, to server: Host
) throws {
  var visitors = try Visitors(with: key, from: intruder, to: server, seed: 3)
  var due = DueCount(rate: 1500)
  while visitors.knocks < count { try visitors.proceed(beginning: due.take(atMost: 64)) }
}
