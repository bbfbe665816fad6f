// Real TCPs between the two ends: a transparent proxy on the way, of kernel TCPs and socat, that ends each
// connection of fake TCP and opens another one.

import NamespaceSupport
import Testing
import Wire

extension NamespaceTests {
  @Suite(.timeLimit(.minutes(2))) struct ProxyTests {
    /// With loss it waits for segments that nobody sends again; without it cuts the stream anew. Both is
    /// found where there are datagrams on fake TCP, said once, and everything goes by UDP. With `adaptive` it
    /// may do so before, because the proxy makes the round trip longer (RFC 896).
    @Test(arguments: [
      (0, "random", AddressFamily.ipv4), (20, "random", .ipv6), (20, "adaptive", .ipv4),
      (0, "adaptive", .ipv6),
    ])
    func allGoesAround(lossPerMille: Int, schedule: String, family: AddressFamily) async throws {
      try await withRoutedHosts { client, router, server in
        var options = Tunnel.Options(.plain, family, type: "all", ports: "10001-10002")
        options.client = ["--schedule=\(schedule)"]
        let tunnel = try Tunnel(from: client, to: server, options)
        let proxy = try reconnect(client, by: router, to: server, family)
        if lossPerMille > 0 { try router.loseSegments(perMille: lossPerMille, of: client) }
        // Eight flows, so that some may have their home on fake TCP.
        let apps = try (0..<8).map { _ in
          try UDPSocket(in: client.namespace, remote: Tunnel.entrance)
        }
        try chat(apps, with: tunnel.target, for: .seconds(6))
        let load = Load(size: 1200, rate: 4_000, duration: .seconds(3))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        let mentions = [tunnel.client, tunnel.server].map { $0.errors.count(of: proxyWords) }
        #expect(mentions[0] <= 1 && mentions[1] <= 1, "\(tunnel.client.errors)")
        let channels = try client.status().sessions[0].channels
        if schedule == "random" {
          #expect(mentions[0] == 1, "\(tunnel.client.errors)")
          #expect(channels.contains { $0.proxied == true && $0.carrier == "tcp" }, "\(channels)")
        }
        #expect(channels.allSatisfy { $0.proxied != true || $0.share == 0 }, "\(channels)")
        try tunnel.stop()
        for program in proxy { program.killNow() }
      }
    }

    /// With a key a first message that repeats another cookie than the server's counts by its time, which a
    /// server does not believe in its first two minutes: then there is UDP alone from the beginning.
    @Test func sealedChannelsGoAround() async throws {
      try await withRoutedHosts { client, router, server in
        let proxy = try router.endConnections(to: server, ports: 10_001...10_002)
        try router.loseSegments(perMille: 20, of: client)
        let tunnel = try Tunnel(
          from: client, to: server, Tunnel.Options(.sealed, type: "all", ports: "10001-10002"))
        let load = Load(size: 1200, rate: 4_000, duration: .seconds(3))
        let (up, down) = try tunnel.exchange(up: load, down: load)
        #expect(up.isComplete(load) && down.isComplete(load), "\(up) \(down)")
        try tunnel.stop()
        for program in proxy { program.killNow() }
      }
    }

    /// Where there is no other way it says what to do, once, and goes on opening connections.
    @Test func tcpAloneSaysWhatToDo() async throws {
      try await withRoutedHosts { client, router, server in
        let tunnel = try Tunnel(
          from: client, to: server, Tunnel.Options(.plain, ports: "10001-10002"))
        let proxy = try reconnect(client, by: router, to: server, .ipv4)
        try router.loseSegments(perMille: 20, of: client)
        let load = Load(size: 1200, rate: 1_000, duration: .seconds(6))
        _ = try tunnel.exchange(up: load, down: load)
        try tunnel.client.waitForText(proxyWords)
        #expect(tunnel.client.errors.count(of: proxyWords) == 1, "\(tunnel.client.errors)")
        #expect(tunnel.client.errors.contains("--type=udp"), "\(tunnel.client.errors)")
        let chatter = Chatter(tunnel)
        _ = try chatter.timeToReturn(after: now())
        try chatter.stop()
        try tunnel.stop()
        for program in proxy { program.killNow() }
      }
    }
  }
}

/// The router becomes a proxy, and the client opens its connections anew.
private func reconnect(
  _ client: Host, by router: Router, to server: Host, _ family: AddressFamily
) throws -> [ChildProcess] {
  let proxy = try router.endConnections(to: server, ports: 10_001...10_002, family)
  let (status, _, errors) = try client.runRsock(["reconnect"])
  guard status == .exited(0) else { throw Failure(errors) }
  try pause(.milliseconds(500))
  return proxy
}

private let proxyWords = "something ends TCP connections"

/// Bursts of ten datagrams of each app each 20 ms, which the target sends back; what becomes of them does not
/// matter.
private func chat(_ apps: [UDPSocket], with target: UDPSocket, for duration: Duration) throws {
  let end = now() + duration
  let bytes = [UInt8](repeating: 7, count: 1200)
  while now() < end {
    for app in apps { for _ in 0..<10 { try app.send(bytes) } }
    while let datagram = try target.receive(within: .milliseconds(1)) {
      try target.send(datagram.bytes, to: datagram.from)
    }
    try pause(.milliseconds(20))
    for app in apps { try app.drain() }
  }
  try pause(.milliseconds(500))
  try target.drain()
  for app in apps { try app.drain() }
}
