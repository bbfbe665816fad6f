// The firewall rules of a role, as text for the administrator.

public import Engine
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
public func firewallRules(for role: RulesRole, carriers: [Carrier] = [.tcp]) -> String {
  let udp = carriers.contains(.udp) ? udpRules(for: role) : ""
  let protocols = carriers.protocols
  let rules = rules(for: role, carriers, protocols)
  return protocols.isEmpty && !rules.isHeldByRules ? udp : udp + text(of: rules)
}

/// What channels on UDP need: nothing of our own, but a firewall of the host has to let them in.
private func udpRules(for role: RulesRole) -> String {
  guard case .server(let ports) = role else {
    return "# UDP needs no rule on a client.\n"
  }
  let list = ports.description.split(separator: ",").joined(separator: ", ")
  return """
    # UDP needs no rule of its own; where this host's firewall refuses what it does not know, accept it
    # there, in nft for example (with the names of your own table and chain):
    #   nft add rule inet filter input udp dport '{ \(list) }' accept

    """
}

private func rules(
  for role: RulesRole, _ carriers: [Carrier], _ protocols: [TunnelProtocol]
) -> Ruleset.Role {
  switch role {
  case .server(let ports):
    .server(ports: ports, protocols: protocols, holding: holding(of: ports, carriers))
  case .client(let server, let ports):
    .client(server: server, ports: ports, protocols: protocols)
  }
}

/// As a server does it that finds its first port free.
private func holding(of ports: PortSet, _ carriers: [Carrier]) -> Ruleset.PortHolding {
  var configuration = TunnelConfiguration(ports: ports)
  configuration.carriers = carriers
  guard configuration.isHeldByRules else { return .sockets }
  return .rules(datagramPort: carriers.contains(.udp) ? ports[0] : nil)
}

private func text(of rules: Ruleset.Role) -> String {
  // Its comments are the same as those of nft.
  let commands = RulesetText.iptables(rules).split(separator: "\n").filter { !$0.hasPrefix("#") }
  return """
    # With nft: rsock rules … | sudo nft -f -
    \(RulesetText.nft(rules))
    # The same with iptables: rsock rules … | sed -n 's/^# \\(ip6*tables\\)/\\1/p' | sudo sh
    \(commands.map { "# \($0)\n" }.joined())
    """
}
