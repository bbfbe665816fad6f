// RSTs and FINs that a stranger sends with exact sequence numbers, to a tunnel without a key and to
// one with a key, which believes those of its server alone.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct ForgeryTests {
    @Test(arguments: TunnelKind.types("tcp"), Protection.allCases)
    func forgedClosesLoseNothing(type: String, protection: Protection) async throws {
      let closes: [CapturedSegment.Flags] = [.rst, [.rst, .ack], [.fin, .ack]]
      try await together(
        closes.map { flags in
          {
            try await onOneWireAndThroughARouter(type, protection) { kind, place, client, server in
              // What is measured is over by then on IPv4: only the silences coincide.
              if kind.family == .ipv6 { try pause(.seconds(6)) }
              try forge(flags, kind, place, from: client, to: server)
            }
          }
        })
    }
  }
}

/// Forges the end of every channel, in both directions, in the middle of a steady load and before
/// a silence that is longer than the 10 s for which a router remembers a closed connection.
private func forge(
  _ flags: CapturedSegment.Flags, _ kind: TunnelKind, _ place: String, from client: Host,
  to server: Host
) throws {
  let context = "flags \(flags.rawValue), \(kind.testDescription), \(place)"
  let atClient = try Capture(in: client.namespace, LatestSegments())
  let atServer = try Capture(in: server.namespace, LatestSegments())
  let tunnel = try Tunnel(from: client, to: server, kind.options)
  try tunnel.target.connect(to: tunnel.flow)
  let load = Load(size: 500, rate: 500, duration: .seconds(3))
  let up = try Stream(load, from: tunnel.app, to: tunnel.target)
  let down = try Stream(load, from: tunnel.target, to: tunnel.app)
  try pause(.seconds(1))
  var forged = 0
  for (host, capture) in [(client, atClient), (server, atServer)] {
    let address = host.address(kind.family)
    let injector = try Injector(from: host, kind.family)
    for (tuple, latest) in capture.current.latest where tuple.local.address == address {
      var segment = latest
      (segment.flags, segment.sequence, segment.payloadCount) = (flags, latest.end, 0)
      try injector.send(Forgery.packet(segment))
      forged += 1
    }
  }
  #expect(forged >= 2, "\(context): a channel has two directions")
  // In flight: what was sent within 20 ms.
  for receipt in [try up.finish(), try down.finish()] {
    #expect(receipt.received >= load.count - 10 && receipt.damaged == 0, "\(context): \(receipt)")
  }
  try pause(.seconds(15))
  // The server's end speaks first: only a channel that the client has replaced can carry that.
  let later = Load(size: 500, rate: 500, count: 500, seed: 2)
  let answer = try Stream(later, from: tunnel.target, to: tunnel.app).finish()
  #expect(
    answer.isComplete(later),
    "\(context), after a silence: \(answer)")
  let question = try Stream(later, from: tunnel.app, to: tunnel.target).finish()
  #expect(question.isComplete(later), "\(context), after a silence: \(question)")
  _ = (try atClient.finish(), try atServer.finish())
  try tunnel.stop()
}
