// rsock client

import ArgumentParser
package import Driver

/// The options of a client.
package struct ClientOptions: ParsableArguments {
  @Option(
    name: [.customShort("t", allowingJoined: true), .long],
    help: ArgumentHelp("The server's address, IPv4 or IPv6, or its name.", valueName: "address"))
  var taddr: String?

  @Option(
    name: [.customShort("l", allowingJoined: true), .long],
    help: ArgumentHelp(
      "Where the app sends its datagrams, for example 127.0.0.1:30000.",
      valueName: "address:port"))
  var ludp: String?

  @Option(
    help: ArgumentHelp(
      "Open so many channels to a port at first, 1-64. (default: 1)", valueName: "count"))
  var channels: String?

  @Option(
    help: ArgumentHelp(
      "Keep at most so many channels open at once, 1-64. (default: 16)", valueName: "count"))
  var maxChannels: String?

  @Option(
    help: ArgumentHelp(
      "Open a channel anew after a time (s, m, h), so many bytes (k, M, G), or either. (default: 6h,8G)",
      valueName: "age,bytes|off"))
  var rotate: String?

  @Option(
    help: ArgumentHelp(
      "How datagrams are spread over the channels, both ways. (default: adaptive)",
      valueName: "adaptive|random|sticky|redundant"))
  var schedule: String?

  @Option(help: .hidden)
  var testIsn: UInt32?

  @Option(help: .hidden)
  var testClockOffset: Int32?

  @OptionGroup var shared: SharedOptions

  package init() {}

  /// Everything that was said, here and in the file.
  package func settings() throws(StartError) -> Settings {
    try shared.settings([
      .taddr: taddr, .ludp: ludp, .channels: channels, .maxChannels: maxChannels,
      .rotate: rotate, .schedule: schedule,
    ])
  }
}

/// `rsock client`.
struct ClientCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "client",
    abstract: "Take in an app's datagrams and carry them to a server.",
    usage: "rsock client -t <address> -l <address:port> [<options>]",
    discussion: """
      For an app (such as a kcptun client) that sends to UDP port 30000 here:
        rsock client --taddr=SERVER -l 127.0.0.1:30000
      """)

  @OptionGroup var options: ClientOptions

  func run() throws {
    var settings = try options.settings()
    if settings.printsRules { return try printRules(settings.clientRules(), settings.carriers()) }
    var configuration = try settings.client()
    configuration.initialSequence = options.testIsn
    configuration.tunnel.clockOffset = .seconds(options.testClockOffset ?? 0)
    throw ExitCode(dial(configuration, in: try settings.process(), control: try settings.control()))
  }
}
