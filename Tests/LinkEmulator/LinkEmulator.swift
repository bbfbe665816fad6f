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
      writeText(help)
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
    // Before all that is not real-time (sched(7)), or frames wait for a busy processor. It mostly sleeps.
    var parameters = sched_param(sched_priority: 1)
    if unsafe sched_setscheduler(0, SCHED_FIFO, &parameters) != 0 {
      _ = setpriority(PRIO_PROCESS, 0, -20)
    }
    var emulator = Emulator(
      client: try WireEnd.open(arguments[0]), server: try WireEnd.open(arguments[1]), seed: seed)
    for command in commands { _ = try emulator.obey(command) }
    writeText("ready\n")
    try emulator.run()
  }

  private static func fail(_ sentence: String, status: Int32) -> Never {
    writeText(sentence + "\n", to: STDERR_FILENO)
    exit(status)
  }
}
