// What who reads along on the wire learns: without a key all, with one nothing of what is said, and
// where the data is left plain nothing of the handshake.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(1))) struct SecrecyTests {
    @Test func sealedDatagramsCannotBeRead() async throws {
      let view = try await observe(Tunnel.Options(.sealed), offloads: .off)
      #expect(view.occurrences(ofPartsOf: view.datagram) == 0)
      #expect(view.occurrences(ofPartsOf: view.session) == 0)
      let frames = view.sealedDatagrams()
      // Behind its number a frame is sealed.
      let (bodies, beginnings) = (frames.map { $0.dropFirst(4) }, frames.map { $0[4..<20] })
      #expect(frames.count == 2 * View.datagrams, "datagrams fill a record each")
      #expect(Set(bodies).count == frames.count, "frames of equal datagrams differ")
      #expect(Set(beginnings).count == frames.count, "from their first bytes on")
    }

    @Test(arguments: Offloads.allCases)
    func sealedTrafficIsTLSToAnalysers(offloads: Offloads) async throws {
      let view = try await observe(Tunnel.Options(.sealed), offloads: offloads)
      let streams = view.streams()
      #expect(streams.count == 2, "one channel, two directions")
      for stream in streams.values {
        #expect(stream.first?.prefix(3) == [0x16, 0x03, 0x01])
      }
      let segments = try view.dissected("tcp.len > 0", "tcp.srcport", "tls.record.content_type")
      #expect(segments.count == streams.values.reduce(0) { $0 + $1.count })
      for port in Set(segments.map { $0[0] }) {
        let kinds = segments.filter { $0[0] == port }.map { $0[1].split(separator: ",") }
        #expect(kinds.first == ["22"], "a handshake record first")
        #expect(kinds.dropFirst().allSatisfy { Set($0) == ["23"] }, "application data behind it")
      }
      #expect(try view.dissected("_ws.malformed").isEmpty)
      #expect(try view.dissected("_ws.expert.severity == error", "_ws.expert.message") == [])
    }

    /// So that the above says something: the same look at the same traffic finds it all.
    @Test func withoutAKeyAllCanBeRead() async throws {
      let view = try await observe(Tunnel.Options(.plain), offloads: .off)
      #expect(view.occurrences(ofPartsOf: view.datagram) >= 2 * View.datagrams)
      #expect(view.occurrences(ofPartsOf: view.session) == 2, "each side's Hello")
    }

    @Test func whereDataIsPlainTheHandshakeIsNot() async throws {
      var options = Tunnel.Options(.sealed)
      options.common = ["--cipher=none"]
      let view = try await observe(options, offloads: .off)
      #expect(view.occurrences(ofPartsOf: view.datagram) >= 2 * View.datagrams)
      #expect(view.occurrences(ofPartsOf: view.session) == 0)
      for stream in view.streams().values {
        #expect(stream.first?.prefix(3) == [0x16, 0x03, 0x01])
      }
    }
  }
}

/// A capture of one channel, and what was said in it.
private struct View {
  /// So many times the datagram goes each way.
  static let datagrams = 500
  static let port = "10001"

  /// What was said, again and again.
  let datagram: [UInt8]
  /// The first half of the session's name, as the server's log has it: it is in every Hello.
  let session: [UInt8]
  let path: String
  let file: [UInt8]
  let packets: [[UInt8]]

  /// At how many places of the file 8 bytes stand that are also 8 bytes of `secret`.
  func occurrences(ofPartsOf secret: [UInt8]) -> Int {
    let parts = Set(words(of: secret))
    return words(of: file).count { parts.contains($0) }
  }

  /// The payloads of each direction of each connection, in order, without the empty ones.
  func streams() -> [FourTuple: [[UInt8]]] {
    var streams: [FourTuple: [[UInt8]]] = [:]
    for bytes in packets {
      guard let segment = CapturedPacket.parsing(bytes)?.segment, segment.payloadCount > 0
      else { continue }
      let tuple = FourTuple(local: segment.source, remote: segment.destination)
      streams[tuple, default: []].append(bytes.suffix(segment.payloadCount))
    }
    return streams
  }

  /// The contents of the records that are as long as the datagram's frame.
  func sealedDatagrams() -> [[UInt8]] {
    streams().values.joined().flatMap { payload in
      unsafe (TLSRecord.sequence(in: payload.span.bytes) ?? [])
        .filter { $0.content.count == datagram.count + Protection.sealed.overhead - 5 }
        .map { Array(payload[$0.content]) }
    }
  }

  /// What tshark finds in the packets that fit a filter: these fields of each.
  func dissected(_ filter: String, _ fields: String...) throws -> [[String]] {
    let columns = (fields.isEmpty ? ["frame.number"] : fields).flatMap { ["-e", $0] }
    let decode = "tcp.port==\(Self.port),tls"
    let text = try run(
      ["tshark", "-n", "-r", path, "-d", decode, "-Y", filter, "-T", "fields"] + columns)
    return text.split(separator: "\n").map { line in
      line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    }
  }
}

/// Each run of 8 bytes as a number.
private func words(of bytes: [UInt8]) -> ArraySlice<UInt64> {
  var word: UInt64 = 0
  let words = bytes.map { byte in
    word = word << 8 | UInt64(byte)
    return word
  }
  return words.dropFirst(7)
}

/// Sends one datagram many times to and fro on one channel, and gives what the wire showed.
private func observe(_ options: Tunnel.Options, offloads: Offloads) async throws -> View {
  try await withTwoHosts(offloads: offloads) { client, server in
    var options = options
    options.ports = View.port
    let capture = try CaptureFile(at: server, to: "\(server.namespace.name).pcap")
    let tunnel = try Tunnel(from: client, to: server, options)
    var random = SeededRandom(seed: 5)
    let datagram = (0..<1400).map { _ in UInt8.random(in: 0...255, using: &random) }
    for _ in 0..<View.datagrams {
      try tunnel.app.send(datagram)
      #expect(try tunnel.target.receive()?.bytes == datagram)
      try tunnel.target.send(datagram, to: tunnel.flow)
      #expect(try tunnel.app.receive()?.bytes == datagram)
    }
    try tunnel.stop()
    let file = try capture.finish()
    let log = tunnel.server.errors
    let name = try #require(log.split(separator: "session ").dropFirst().first?.prefix(16))
    let half = try #require(UInt64(name, radix: 16), "\(log)")
    return View(
      datagram: datagram, session: (0..<8).map { UInt8(truncatingIfNeeded: half >> (56 - 8 * $0)) },
      path: capture.path, file: file, packets: try CaptureFile.packets(in: file))
  }
}
