// The firewall rules of a role, as text for the administrator.

/// Whom rules are for.
public enum RulesRole: Sendable {
  /// A server.
  case server(ServerConfiguration)
  /// A client.
  case client(ClientConfiguration)
}

/// The rules of a role, for nft and for iptables, as commands to run by hand.
public func firewallRules(for role: RulesRole) -> String { "" }
