// A bad network between two interfaces. The kernels that the tests run on need no netem for it.

import Glibc
import LinkModel
import NamespaceSupport

@main
enum LinkEmulator {
  static let help = """
    Usage: LinkEmulator CLIENT-INTERFACE SERVER-INTERFACE [--seed N] [COMMAND]...

    Carries every Ethernet frame that comes in at one interface to the other, and does to IP packets what
    the commands say. Neighbour discovery passes at once, whatever they say. Both interfaces are best the
    ends of veth pairs in a network namespace of their own, without addresses. Where the other ends are,
    checksum and segmentation offloads must be off (ethtool -K eth0 tx off tso off gso off): what is no
    packet of the wire is dropped and counted (unfinished). Frames may have up to 2038 bytes.

    Each COMMAND is one argument. More are read from standard input, one a line, and are answered on
    standard output by "ok" or "error: …"; the link ends with its standard input.

      LinkEmulator client server 'rate 100mbit queue 500k' 'delay 40ms' 'loss 1%'

    \(Settings.help)

    """

  static func main() {
    do {
      try run(Array(CommandLine.arguments.dropFirst()))
    } catch let error as CommandError {
      fail("\(error)", status: 64)
    } catch {
      fail("\(error)", status: 1)
    }
  }

  private static func run(_ arguments: [String]) throws {
    if arguments.contains("--help") {
      say(help)
      return
    }
    var commands = Array(arguments.dropFirst(2))
    var seed: UInt64 = 1
    if commands.first == "--seed" {
      guard commands.count > 1, let number = UInt64(commands[1]) else {
        fail("--seed takes a whole number", status: 64)
      }
      seed = number
      commands.removeFirst(2)
    }
    guard arguments.count >= 2 else {
      fail("two interfaces are to be named first; see --help", status: 64)
    }
    guard geteuid() == 0 else { fail("packet sockets on two interfaces need root", status: 77) }
    // Nothing else may make its packets late; ksoftirqd and the hosts' programs run at 0 and -5.
    _ = setpriority(PRIO_PROCESS, 0, -10)
    var emulator = Emulator(
      client: try WireEnd.open(arguments[0]), server: try WireEnd.open(arguments[1]), seed: seed)
    for command in commands { _ = try emulator.obey(command) }
    say("ready\n")
    try emulator.run()
  }

  private static func fail(_ sentence: String, status: Int32) -> Never {
    write(sentence + "\n", to: STDERR_FILENO)
    exit(status)
  }
}

/// Writes to standard output.
func say(_ text: String) { write(text, to: STDOUT_FILENO) }

private func write(_ text: String, to file: Int32) {
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
    guard count > 0 || errno == EINTR else { return }
    rest = rest.dropFirst(max(0, count))
  }
}
