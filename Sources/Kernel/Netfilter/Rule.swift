// The rules, as values that become both messages to the kernel and nft(8)'s text: one place says
// what is dropped.
//
//   wire -> tap (ours is received here) -> prerouting: drop what is ours -> conntrack -> ...
//   a program's segment -------------> output: untracked, accepted -> ...
//   the kernel's own RST, echo reply -> output: dropped where it is in the name of ours

import CLinux
import CMnl
import Glibc
public import Wire

extension Ruleset {
  /// Whose segments are ours. What arrives counts only where it is for one of this host's own addresses:
  /// what is only forwarded, masqueraded or not, passes.
  public enum Role: Hashable, Sendable {
    /// Of TCP those of any client with one of our ports; where there is a decoy, but for connections
    /// that were added. Of ICMP anybody's requests with the badge.
    case server(
      ports: PortSet, hasDecoy: Bool = false, protocols: [TunnelProtocol] = [.tcp],
      holding: PortHolding = .sockets)
    /// Of TCP those of the server and one of its ports with a port of our own that was added. Of ICMP the
    /// server's replies with the badge.
    case client(server: IPAddress, ports: PortSet, protocols: [TunnelProtocol] = [.tcp])
  }

  /// What makes a server's ports its own.
  public enum PortHolding: Hashable, Sendable {
    /// A socket at each: nobody else can have them.
    case sockets
    /// The rules alone, for ranges of thousands. They overlap those of the host's other programs, whose
    /// sockets come first. What comes by UDP goes to a socket at `datagramPort`, where there is one.
    case rules(datagramPort: UInt16?)
  }
}

/// A set in our table.
enum SetName: String {
  /// The server's ports, as ranges.
  case ports
  /// The client's own ports, one for each channel.
  case own
  /// The connections that the kernel's TCP has: the other side's address and port, then ours.
  case spliced
  /// The same of IPv6.
  case spliced6

  /// The one for connections of `family`.
  static func spliced(_ family: AddressFamily) -> SetName {
    family == .ipv4 ? .spliced : .spliced6
  }

  /// Its number in the transaction that makes it.
  var id: UInt32 {
    switch self {
    case .ports: 1
    case .own, .spliced: 2
    case .spliced6: 3
    }
  }

  /// `NFT_SET_*`
  var flags: UInt32 { self == .ports ? NFT_SET_INTERVAL.rawValue : 0 }

  /// What an element is: nft(8)'s number for it, which it lists the set by, its size in bytes, and its
  /// name.
  var type: (number: UInt32, length: UInt32, text: String) {
    switch self {
    case .ports, .own: return (Self.port, 2, "inet_service")
    case .spliced: return (Self.connection(7), 16, Self.connection("ipv4_addr"))
    case .spliced6: return (Self.connection(8), 40, Self.connection("ipv6_addr"))
    }
  }

  private static let port: UInt32 = 13

  /// A concatenation has the numbers of its parts, 6 bits each, and 4 bytes or a multiple for each.
  private static func connection(_ address: UInt32) -> UInt32 {
    (address << 6 | port) << 12 | address << 6 | port
  }

  private static func connection(_ address: String) -> String {
    "\(address) . inet_service . \(address) . inet_service"
  }
}

/// A part of a rule.
enum RuleTerm {
  case isOf(AddressFamily)
  case address(PacketField, IPAddress)
  /// Stands in front of the first TCP field; nft(8) adds it by itself.
  case isTCP
  case port(PacketField, in: SetName)
  /// The same for UDP's.
  case isUDP
  case datagramPort(in: SetName)
  /// The kernel's TCP has the connection that the packet is received or sent on.
  case isSpliced(AddressFamily, isReceived: Bool)
  case isForThisHost
  /// A socket is there for it, of whatever kind: a connection's, half open or closed ones too, or one that
  /// waits for some.
  case hasSocket
  /// The socket that it comes from has a local address, as connections have; or it has none.
  case isFromSocket(isBound: Bool)
  /// A program sent it: the kernel's own segments have no owner.
  case hasOwner
  case isReset
  /// It is an ICMP message of the kind and family.
  case isEcho(EchoKind, AddressFamily)
  /// Such a message carries the kind's badge.
  case hasBadge(EchoKind)
  case notrack
  /// Hands the flow to the socket at a port.
  case translate(toPort: UInt16)
  case accept
  case drop
}

/// A chain of our table with its rules.
struct RuleChain {
  /// What a chain is hooked up as, in nft(8)'s words.
  struct Kind {
    let name: String
    let priority: Int32
    let priorityText: String

    /// Before connection tracking.
    static let raw = Kind(name: "filter", priority: NF_IP_PRI_RAW.rawValue, priorityText: "raw")
    /// For the first packet of each flow, behind translations of the administrator's: the first one counts.
    static let nat = Kind(
      name: "nat", priority: NF_IP_PRI_NAT_DST.rawValue + 1, priorityText: "dstnat + 1")
  }

  let name: String
  /// `NF_INET_*`, and nft(8)'s word for it.
  let hook: (number: UInt32, text: String)
  let kind: Kind
  let rules: [[RuleTerm]]

  static func received(_ name: String, _ kind: Kind, _ rules: [[RuleTerm]]) -> RuleChain {
    RuleChain(
      name: name, hook: (UInt32(NF_INET_PRE_ROUTING.rawValue), "prerouting"), kind: kind,
      rules: rules)
  }

  static func sent(_ name: String, _ kind: Kind, _ rules: [[RuleTerm]]) -> RuleChain {
    RuleChain(
      name: name, hook: (UInt32(NF_INET_LOCAL_OUT.rawValue), "output"), kind: kind, rules: rules)
  }
}

extension Ruleset.Role {
  /// The server's ports.
  var ports: PortSet {
    switch self {
    case .server(let ports, _, _, _), .client(_, let ports, _): ports
    }
  }

  /// What carries the segments.
  var protocols: [TunnelProtocol] {
    switch self {
    case .server(_, _, let protocols, _), .client(_, _, let protocols): protocols
    }
  }

  /// Whether rules alone hold the ports.
  public var isHeldByRules: Bool {
    if case .server(_, _, _, .rules) = self { return true }
    return false
  }

  /// Where UDP to all ports goes; nil where each has a socket.
  var datagramPort: UInt16? {
    if case .server(_, _, _, .rules(let port)) = self { return port }
    return nil
  }

  /// The sets that the rules name.
  var sets: [SetName] {
    guard protocols.contains(.tcp) else { return datagramPort == nil ? [] : [.ports] }
    switch self {
    case .server(_, let hasDecoy, _, _): return hasDecoy ? [.ports, .spliced, .spliced6] : [.ports]
    case .client: return [.ports, .own]
    }
  }

  /// All rules. The dear look-up in the routes comes last.
  var chains: [RuleChain] {
    let rules = protocols.map {
      switch $0 {
      case .tcp: tcpRules
      case .icmp: icmpRules
      }
    }
    let packets: [RuleChain] = [
      .received("prerouting", .raw, rules.flatMap { $0.received }),
      .sent("output", .raw, rules.flatMap { $0.sent }),
    ]
    guard let datagramPort else { return packets }
    return (rules.isEmpty ? [] : packets) + [
      .received("datagrams", .nat, datagramRules(to: datagramPort))
    ]
  }

  private var tcpRules: (received: [[RuleTerm]], sent: [[RuleTerm]]) {
    let others: (received: [[RuleTerm]], sent: [[RuleTerm]]) =
      isHeldByRules
      ? ([received + [.hasSocket, .accept]], [sent + [.isFromSocket(isBound: true), .accept]])
      : ([], [])
    // A listening socket's SYN-ACKs have an owner as well, and what is behind them is tracked.
    let own: [RuleTerm] =
      isHeldByRules ? [.isFromSocket(isBound: false), .hasOwner] : [.hasOwner]
    return (
      others.received + splicedRules(received, isReceived: true)
        + [received + [.isForThisHost, .drop]],
      others.sent + [sent + own + [.notrack, .accept]]
        + splicedRules(sent, isReceived: false) + [sent + [.isReset, .drop]]
    )
  }

  /// UDP has no segments of ours: the kernel's own socket gets them, and those of other programs theirs.
  private func datagramRules(to port: UInt16) -> [[RuleTerm]] {
    let received: [RuleTerm] = [.isUDP, .datagramPort(in: .ports)]
    return [
      received + [.hasSocket, .accept], received + [.isForThisHost, .translate(toPort: port)],
    ]
  }

  private var icmpRules: (received: [[RuleTerm]], sent: [[RuleTerm]]) {
    switch self {
    case .server:
      let families = AddressFamily.allCases
      return (
        families.map { echo(.request, $0) + [.isForThisHost, .drop] },
        families.flatMap { family -> [[RuleTerm]] in
          [
            echo(.reply, family) + [.hasOwner, .notrack, .accept],
            // The kernel's answer to a request that came another way has the request's bytes.
            [.isOf(family), .isEcho(.reply, family), .hasBadge(.request), .drop],
          ]
        }
      )
    case .client(let server, _, _):
      let family = server.family
      return (
        [echo(.reply, family, .address(.sourceAddress(family), server)) + [.isForThisHost, .drop]],
        [
          echo(.request, family, .address(.destinationAddress(family), server))
            + [.hasOwner, .notrack, .accept]
        ]
      )
    }
  }

  private func echo(
    _ kind: EchoKind, _ family: AddressFamily, _ address: RuleTerm? = nil
  ) -> [RuleTerm] {
    [.isOf(family)] + (address.map { [$0] } ?? []) + [.isEcho(kind, family), .hasBadge(kind)]
  }

  /// The kernel's TCP gets and sends what is of connections that it has. Connection tracking has not
  /// seen their beginning, so it does not see the rest.
  private func splicedRules(_ ours: [RuleTerm], isReceived: Bool) -> [[RuleTerm]] {
    guard sets.contains(.spliced) else { return [] }
    return AddressFamily.allCases.map {
      [.isOf($0)] + ours + [.isSpliced($0, isReceived: isReceived), .notrack, .accept]
    }
  }

  private var received: [RuleTerm] {
    switch self {
    case .server: [.isTCP, .port(.destinationPort, in: .ports)]
    case .client(let server, _, _):
      [
        .isOf(server.family), .address(.sourceAddress(server.family), server), .isTCP,
        .port(.sourcePort, in: .ports), .port(.destinationPort, in: .own),
      ]
    }
  }

  private var sent: [RuleTerm] {
    switch self {
    case .server: [.isTCP, .port(.sourcePort, in: .ports)]
    case .client(let server, _, _):
      [
        .isOf(server.family), .address(.destinationAddress(server.family), server), .isTCP,
        .port(.destinationPort, in: .ports), .port(.sourcePort, in: .own),
      ]
    }
  }
}

extension RuleTerm {
  /// Adds the term's expressions to the rule at hand.
  func emit(into request: inout NetlinkRequest) {
    switch self {
    case .isOf(let family):
      request.meta(NFT_META_NFPROTO)
      request.compare(NFT_CMP_EQ, UInt8(family == .ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6))
    case .address(let field, let address):
      request.payload(field)
      request.compare(address)
    case .isTCP:
      request.meta(NFT_META_L4PROTO)
      request.compare(NFT_CMP_EQ, UInt8(IPPROTO_TCP))
    case .isUDP:
      request.meta(NFT_META_L4PROTO)
      request.compare(NFT_CMP_EQ, UInt8(IPPROTO_UDP))
    case .port(let field, let set):
      request.payload(field)
      request.lookup(set)
    case .datagramPort(let set):
      request.payload(.destinationPort)
      request.lookup(set)
    case .isSpliced(let family, let isReceived):
      let remote: [PacketField] = [.sourceAddress(family), .sourcePort]
      let local: [PacketField] = [.destinationAddress(family), .destinationPort]
      request.payload(isReceived ? remote + local : local + remote)
      request.lookup(.spliced(family))
    case .isForThisHost:
      request.destinationKind()
      request.compare(NFT_CMP_EQ, UInt32(RTN_LOCAL))
    case .hasSocket:
      // The kernel knows of every kind of socket whether it is a transparent proxy's; of a half open
      // connection's, or one in TIME_WAIT, not whether it is bound (`nft_socket_eval`).
      request.socket(NFT_SOCKET_TRANSPARENT)
      request.compare(NFT_CMP_GTE, UInt8(0))
      request.compare(NFT_CMP_LTE, UInt8(1))
    case .isFromSocket(let isBound):
      request.socket(NFT_SOCKET_WILDCARD)
      request.compare(NFT_CMP_EQ, UInt8(isBound ? 0 : 1))
    case .hasOwner:
      // The load alone ends the rule where there is no owner (`nft_meta_get_eval_skugid`); the
      // range, of all users that there can be, is what nft(8) can say and list.
      request.meta(NFT_META_SKUID)
      request.toNetworkOrder()
      request.compare(NFT_CMP_GTE, UInt32(0))
      request.compare(NFT_CMP_LTE, (UInt32.max - 1).bigEndian)
    case .isReset:
      request.payload(.tcpFlags)
      request.mask(0x04)
      request.compare(NFT_CMP_NEQ, UInt8(0))
    case .isEcho(let kind, let family):
      request.meta(NFT_META_L4PROTO)
      request.compare(NFT_CMP_EQ, ICMP.protocolNumber(family))
      request.payload(.icmpType)
      request.compare(NFT_CMP_EQ, kind.type(family))
    case .hasBadge(let kind):
      request.payload(.badge)
      request.compare(NFT_CMP_EQ, kind.rawValue.bigEndian)
    case .notrack: request.notrack()
    case .translate(let port): request.translate(toPort: port)
    case .accept: request.verdict(NF_ACCEPT)
    case .drop: request.verdict(NF_DROP)
    }
  }

  /// The term in nft(8)'s words, nil where nft adds it by itself.
  var text: String? {
    switch self {
    case .isOf(let family): "meta nfproto ipv\(family.rawValue)"
    case .address(.sourceAddress(let family), let address): "\(family.word) saddr \(address)"
    case .address(_, let address): "\(address.family.word) daddr \(address)"
    case .isTCP, .isUDP: nil
    case .port(.sourcePort, let set): "tcp sport @\(set.rawValue)"
    case .port(_, let set): "tcp dport @\(set.rawValue)"
    case .datagramPort(let set): "udp dport @\(set.rawValue)"
    case .isSpliced(let family, true):
      "\(family.word) saddr . tcp sport . \(family.word) daddr . tcp dport"
        + " @\(SetName.spliced(family).rawValue)"
    case .isSpliced(let family, false):
      "\(family.word) daddr . tcp dport . \(family.word) saddr . tcp sport"
        + " @\(SetName.spliced(family).rawValue)"
    case .isForThisHost: "fib daddr type local"
    case .hasSocket: "socket transparent 0-1"
    case .isFromSocket(let isBound): "socket wildcard \(isBound ? 0 : 1)"
    case .hasOwner: "meta skuid 0-4294967294"
    case .isReset: "tcp flags rst"
    case .isEcho(let kind, let family):
      "\(family == .ipv4 ? "icmp" : "icmpv6") type echo-\(kind == .request ? "request" : "reply")"
    case .hasBadge(let kind):
      "@th,\(8 * EchoHeader.badgeOffset),32 0x\(String(kind.rawValue, radix: 16))"
    case .notrack: "notrack"
    case .translate(let port): "dnat to :\(port)"
    case .accept: "accept"
    case .drop: "drop"
    }
  }
}

extension AddressFamily {
  /// The word for its header in nft(8).
  fileprivate var word: String { self == .ipv4 ? "ip" : "ip6" }
}
