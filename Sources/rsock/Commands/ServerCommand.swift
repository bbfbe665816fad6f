// rsock server

import ArgumentParser
package import Driver

/// The options of a server.
package struct ServerOptions: ParsableArguments {
  @Option(
    name: [.customShort("t", allowingJoined: true), .long],
    help: ArgumentHelp(
      "The app that gets the datagrams, for example 127.0.0.1:9999; a name will do.",
      valueName: "address:port"))
  var taddr: String?

  @Option(
    name: [.customShort("l", allowingJoined: true), .long],
    help: ArgumentHelp("Accepted for the original's sake and ignored.", valueName: "address:port"))
  var ludp: String?

  @Option(
    help: ArgumentHelp(
      "Show strangers this TCP service, for example a web server at 127.0.0.1:80; needs a key.",
      valueName: "address:port"))
  var decoy: String?

  @OptionGroup var shared: SharedOptions

  package init() {}

  /// Everything that was said, here and in the file.
  package func settings() throws(StartError) -> Settings {
    try shared.settings([.taddr: taddr, .ludp: ludp, .decoy: decoy])
  }
}

/// `rsock server`.
struct ServerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "server",
    abstract: "Take in clients and hand their datagrams to an app.",
    usage: "rsock server -t <address:port> [<options>]",
    discussion: """
      For an app (such as a kcptun server) at UDP port 9999 of this host:
        rsock server -t 127.0.0.1:9999
      """)

  @OptionGroup var options: ServerOptions

  func run() throws {
    var settings = try options.settings()
    if settings.printsRules { return try printRules(settings.serverRules(), settings.carriers()) }
    let configuration = try settings.server()
    throw ExitCode(
      serve(configuration, in: try settings.process(), control: try settings.control()))
  }
}
