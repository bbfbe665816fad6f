// rsock rules

import ArgumentParser
import Driver
import Engine

/// `rsock rules`.
struct RulesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rules",
    abstract: "Print firewall rules, for nft and for iptables, to set by hand.",
    discussion: """
      Needed only where rsock may not set its own (without CAP_NET_ADMIN). Give the \
      same options as to the server or client; only its ports, carriers and address matter:
        rsock rules server -p 10001-10010
        rsock rules client --taddr=SERVER -p 10001-10010
      """,
    subcommands: [ServerRules.self, ClientRules.self])

  /// `rsock rules server`.
  struct ServerRules: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "server", abstract: "Print the rules for a server.",
      usage: "rsock rules server [-p <ports>]")

    @OptionGroup var options: ServerOptions

    func run() throws {
      var settings = try options.settings()
      try printRules(settings.serverRules(), settings.carriers())
    }
  }

  /// `rsock rules client`.
  struct ClientRules: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "client", abstract: "Print the rules for a client.",
      usage: "rsock rules client -t <address> [-p <ports>]")

    @OptionGroup var options: ClientOptions

    func run() throws {
      var settings = try options.settings()
      try printRules(settings.clientRules(), settings.carriers())
    }
  }
}

/// Prints the rules of a role.
func printRules(_ role: RulesRole, _ carriers: [Carrier]) {
  print(firewallRules(for: role, carriers: carriers), terminator: "")
}
