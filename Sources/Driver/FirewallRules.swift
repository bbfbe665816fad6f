// The firewall rules of a role, as text for the administrator.

import Kernel
public import Wire

/// Whom firewall rules are for.
public enum RulesRole: Hashable, Sendable {
  /// A server on these ports.
  case server(ports: PortSet)
  /// A client of the server at this address and these ports.
  case client(server: IPAddress, ports: PortSet)
}

/// The rules of a role as a file for `nft -f`; the same as iptables commands follow in comments, so
/// that the whole can be piped into nft.
public func firewallRules(for role: RulesRole) -> String {
  let rules: Ruleset.Role =
    switch role {
    case .server(let ports): .server(ports: ports)
    case .client(let server, let ports): .client(server: server, ports: ports)
    }
  // Its comments are the same as those of nft.
  let commands = RulesetText.iptables(rules).split(separator: "\n").filter { !$0.hasPrefix("#") }
  return """
    # With nft: rsock rules … | sudo nft -f -
    \(RulesetText.nft(rules))
    # The same with iptables: rsock rules … | sed -n 's/^# iptables/iptables/p' | sudo sh
    \(commands.map { "# \($0)\n" }.joined())
    """
}
