// What a tunnel can be like: the list that holds for one of them holds for all.

import NamespaceSupport
import Testing
import Wire

/// A carrier and a family, without a key or with one.
struct TunnelKind: Hashable, Sendable, CustomTestStringConvertible {
  let type: String
  let protection: Protection
  let family: AddressFamily

  /// All of them.
  static let all = ["tcp", "udp", "icmp", "all"].flatMap { type in
    AddressFamily.allCases.flatMap { family in
      Protection.allCases.map { TunnelKind(type: type, protection: $0, family: family) }
    }
  }
  /// Each carrier on each family, where all would take too long.
  static let some = [
    TunnelKind(type: "tcp", protection: .plain, family: .ipv4),
    TunnelKind(type: "tcp", protection: .sealed, family: .ipv6),
    TunnelKind(type: "udp", protection: .sealed, family: .ipv4),
    TunnelKind(type: "udp", protection: .plain, family: .ipv6),
    TunnelKind(type: "icmp", protection: .sealed, family: .ipv4),
    TunnelKind(type: "icmp", protection: .plain, family: .ipv6),
  ]
  /// Fake TCP on IPv4.
  static let tcp = Protection.allCases.map {
    TunnelKind(type: "tcp", protection: $0, family: .ipv4)
  }
  static let tcpAndUDP = TunnelKind(type: "all", protection: .sealed, family: .ipv4)

  /// All of them where there is time, else a few.
  static func usually(_ few: [TunnelKind]) -> [TunnelKind] { areLongTestsWanted ? all : few }

  /// Types of tunnels, and `all` of them where there is time.
  static func types(_ usual: String...) -> [String] {
    usual + (areLongTestsWanted ? ["all"] : [])
  }

  var testDescription: String { "\(type), \(protection), \(family)" }

  var options: Tunnel.Options { Tunnel.Options(protection, family, type: type) }

  /// What both ends say of a path that carries so much, in bytes. A session with fake TCP goes by that.
  func sentence(mtu: Int) -> String {
    let behindIP = ["udp": 8 + 4, "icmp": 8 + 4 + 4][type] ?? 20
    let headers = (family == .ipv4 ? 20 : 40) + behindIP
    let largest = mtu - headers - protection.overhead
    return "datagrams of up to \(largest) bytes travel whole: "
      + "WireGuard's MTU is \(largest - 32) at most"
  }
}

/// Runs `body` for a tunnel of each kind, eight at once: for what mostly waits.
func withEveryKind(_ body: @escaping @Sendable (TunnelKind) async throws -> Void) async throws {
  for family in AddressFamily.allCases {
    try await together(
      TunnelKind.all.filter { $0.family == family }.map { kind in { try await body(kind) } })
  }
}

/// Runs `body` between two hosts for a tunnel of each kind, eight at once.
func withEveryKind(
  _ body: @escaping @Sendable (TunnelKind, _ client: Host, _ server: Host) throws -> Void
) async throws {
  try await withEveryKind { kind in try await withTwoHosts { try body(kind, $0, $1) } }
}

/// Runs `body` for tunnels of a type on both families, each on one wire and through a strict router, which
/// `place` tells apart: four at once.
func onOneWireAndThroughARouter(
  _ type: String, _ protection: Protection,
  _ body:
    @escaping @Sendable (TunnelKind, _ place: String, _ client: Host, _ server: Host) throws -> Void
) async throws {
  let kinds = TunnelKind.all.filter { $0.type == type && $0.protection == protection }
  try await together(
    kinds.flatMap { kind -> [@Sendable () async throws -> Void] in
      [
        { try await withTwoHosts { try body(kind, "one wire", $0, $1) } },
        {
          try await withRoutedHosts { client, _, server in
            try body(kind, "strict NAT", client, server)
          }
        },
      ]
    })
}
