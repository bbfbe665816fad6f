// The ruleset as text: what to load where rsock may not change the firewall itself.

import Glibc
package import Wire

/// Our ruleset in the words of nft(8), and of iptables(8) and ip6tables(8).
public enum RulesetText {
  /// A file for `nft -f` that makes the table `rsock`, or makes it again.
  public static func nft(_ role: Ruleset.Role) -> String {
    nft(role, table: "rsock", own: localPorts())
  }

  /// Commands for a shell as root. They append, so they are for one time after each boot; with -D
  /// in place of -A they remove what they made.
  public static func iptables(_ role: Ruleset.Role) -> String {
    iptables(role, own: localPorts())
  }

  /// As `nft(_:)`, for a table of this name and a client with these ports of its own.
  package static func nft(_ role: Ruleset.Role, table: String, own: PortSet) -> String {
    var lines = comment(role)
    lines += ["table inet \(table) {}", "delete table inet \(table)", "table inet \(table) {"]
    for set in role.sets {
      lines += ["  set \(set.rawValue) {", "    type \(set.type.text)"]
      if set == .ports || set == .own {
        let ports = set == .ports ? role.ports : own
        let elements = ports.description.split(separator: ",").joined(separator: ", ")
        lines += ["    flags interval", "    elements = { \(elements) }"]
      }
      lines += ["  }"]
    }
    for chain in role.chains {
      lines += ["  chain \(chain.name) {"]
      lines += [
        "    type \(chain.kind.name) hook \(chain.hook.text) priority \(chain.kind.priorityText); policy accept;"
      ]
      lines += chain.rules.map { "    " + $0.compactMap(\.text).joined(separator: " ") }
      lines += ["  }"]
    }
    return (lines + ["}", ""]).joined(separator: "\n")
  }

  /// As `iptables(_:)`, for a client with these ports of its own.
  package static func iptables(_ role: Ruleset.Role, own: PortSet) -> String {
    var lines = comment(role)
    for family in families(role) {
      for wanted in role.protocols {
        switch wanted {
        case .tcp: lines += tcpCommands(role, family, own)
        case .icmp: lines += icmpCommands(role, family)
        }
      }
      lines += datagramCommands(role, family)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The families that the role has.
  private static func families(_ role: Ruleset.Role) -> [AddressFamily] {
    switch role {
    case .server: AddressFamily.allCases
    case .client(let server, _, _): [server.family]
    }
  }

  private static func command(_ family: AddressFamily) -> String {
    family == .ipv4 ? "iptables" : "ip6tables"
  }

  private static func tcpCommands(
    _ role: Ruleset.Role, _ family: AddressFamily, _ own: PortSet
  ) -> [String] {
    matches(role, own).flatMap { received, sent -> [String] in
      let prerouting = "\(command(family)) -t raw -A PREROUTING -p tcp \(received)"
      let output = "\(command(family)) -t raw -A OUTPUT -p tcp \(sent)"
      let drops = [
        "\(prerouting) -m addrtype --dst-type LOCAL -j DROP",
        // Matches what has no owner at all, the kernel's own segments (xt_owner.c).
        "\(output) -m owner ! --uid-owner 0-4294967294 --tcp-flags RST RST -j DROP",
      ]
      // Nothing there tells a raw socket's segments from those of other programs' connections
      // (xt_socket.c: PREROUTING and INPUT only), so all of them are tracked.
      return role.isHeldByRules
        ? ["\(prerouting) \(hasSocket) -j ACCEPT"] + drops
        : ["\(output) -m owner --uid-owner 0-4294967294 -j CT --notrack"] + drops
    }
  }

  /// Without the last word it passes over sockets that are bound to no address.
  private static let hasSocket = "-m socket --nowildcard"

  private static func datagramCommands(_ role: Ruleset.Role, _ family: AddressFamily) -> [String] {
    guard let port = role.datagramPort else { return [] }
    return lists(role.ports).flatMap { ports -> [String] in
      let prerouting =
        "\(command(family)) -t nat -A PREROUTING -p udp -m multiport --dports \(ports)"
      return [
        "\(prerouting) \(hasSocket) -j ACCEPT",
        "\(prerouting) -m addrtype --dst-type LOCAL -j DNAT --to-destination :\(port)",
      ]
    }
  }

  private static func icmpCommands(_ role: Ruleset.Role, _ family: AddressFamily) -> [String] {
    let command = command(family)
    let drop = "-m addrtype --dst-type LOCAL -j DROP"
    let untracked = "-m owner --uid-owner 0-4294967294 -j CT --notrack"
    let echo = { (kind: EchoKind) in Self.echo(kind, family) + Self.badge(kind, family) }
    switch role {
    case .server:
      return [
        "\(command) -t raw -A PREROUTING \(echo(.request)) \(drop)",
        "\(command) -t raw -A OUTPUT \(echo(.reply)) \(untracked)",
        "\(command) -t raw -A OUTPUT \(Self.echo(.reply, family))\(badge(.request, family)) -j DROP",
      ]
    case .client(let server, _, _):
      return [
        "\(command) -t raw -A PREROUTING -s \(server) \(echo(.reply)) \(drop)",
        "\(command) -t raw -A OUTPUT -d \(server) \(echo(.request)) \(untracked)",
      ]
    }
  }

  private static func echo(_ kind: EchoKind, _ family: AddressFamily) -> String {
    family == .ipv4
      ? "-p icmp --icmp-type \(kind.type(family))"
      : "-p icmpv6 --icmpv6-type \(kind.type(family))"
  }

  /// Behind the IPv4 header, whatever its length (`u32_match_it`); IPv6's is taken to have none behind it.
  private static func badge(_ kind: EchoKind, _ family: AddressFamily) -> String {
    let place =
      family == .ipv4
      ? "0>>22&0x3C@\(EchoHeader.badgeOffset)"
      : "\(IPv6Header.byteCount + EchoHeader.badgeOffset)"
    return " -m u32 --u32 '\(place)=0x\(String(kind.rawValue, radix: 16))'"
  }

  private static func matches(
    _ role: Ruleset.Role, _ own: PortSet
  ) -> [(received: String, sent: String)] {
    switch role {
    case .server(let ports, _, _, _):
      return lists(ports).map { ("-m multiport --dports \($0)", "-m multiport --sports \($0)") }
    case .client(let server, let ports, _):
      return lists(ports).flatMap { ports in
        lists(own).map { own in
          (
            "-s \(server) -m multiport --sports \(ports) -m multiport --dports \(own)",
            "-d \(server) -m multiport --dports \(ports) -m multiport --sports \(own)"
          )
        }
      }
    }
  }

  /// The ports as lists of at most 15 numbers each (`XT_MULTI_PORTS`).
  private static func lists(_ ports: PortSet) -> [String] {
    var lists: [String] = []
    var room = 0
    for range in ports.ranges {
      let isOne = range.count == 1
      let text = isOne ? "\(range.lowerBound)" : "\(range.lowerBound):\(range.upperBound)"
      let size = isOne ? 1 : 2
      if size > room {
        lists.append(text)
        room = 15 - size
      } else {
        lists[lists.count - 1] += "," + text
        room -= size
      }
    }
    return lists
  }

  private static func comment(_ role: Ruleset.Role) -> [String] {
    let names = role.protocols.map { $0 == .tcp ? "TCP" : "ICMP" }.joined(separator: " and ")
    guard !names.isEmpty else { return ["# Takes UDP to all of the ports to one of them."] }
    let first = "# Keeps the kernel's \(names) away from the tunnel's segments."
    guard case .client = role, role.protocols.contains(.tcp) else { return [first] }
    return [
      first + " A client's own ports are not",
      "# known in advance: these are net.ipv4.ip_local_port_range. So other connections of this",
      "# host to the server's ports do not work while these rules are loaded.",
    ]
  }

  /// Where the kernel takes ports for outgoing connections from (ip(7)); its default where that
  /// cannot be read.
  private static func localPorts() -> PortSet {
    let path = "/proc/sys/net/ipv4/ip_local_port_range"
    let file = Descriptor(owning: unsafe open(path, O_RDONLY | O_CLOEXEC))
    var text = [UInt8](repeating: 0, count: 32)
    let count = unsafe read(file.rawValue, &text, text.count)
    let numbers = text.prefix(max(count, 0)).split { $0 < 0x30 || $0 > 0x39 }
      .compactMap { UInt16(String(decoding: $0, as: UTF8.self)) }
    guard numbers.count == 2, numbers[0] <= numbers[1] else { return PortSet([32_768...60_999]) }
    return PortSet([numbers[0]...numbers[1]])
  }
}
