// The firewall rules of a role, as text for the administrator.

import Kernel
import Wire

/// Whom rules are for.
public enum RulesRole: Sendable {
  /// A server.
  case server(ServerConfiguration)
  /// A client.
  case client(ClientConfiguration)

  fileprivate var ruleset: Ruleset.Role {
    switch self {
    case .server(let configuration): .server(ports: configuration.tunnel.ports)
    case .client(let configuration):
      .client(server: configuration.server, ports: configuration.tunnel.ports)
    }
  }
}

/// The rules of a role, for nft and for iptables, as commands to run by hand.
public func firewallRules(for role: RulesRole) -> String {
  RulesetText.nft(role.ruleset) + "\n" + RulesetText.iptables(role.ruleset)
}
