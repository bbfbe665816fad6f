// The networks: what a provider does to the path between the two hosts.

/// A bad network, and what is expected on it.
struct Network: Sendable {
  /// Its name on the command line.
  let name: String
  /// What it is, for people.
  let title: String
  /// What the emulated link is told.
  let commands: [String]
  /// How many runs a figure is the median of. A target near 1 needs more than one.
  let rounds: Int

  /// The wire is 100 Mbit/s with a queue of its bandwidth-delay product, 80 ms of it. A policer's burst is
  /// 80 ms of its rate.
  private static let path = ["rate 100mbit queue 1M", "delay 40ms", "loss 1%"]

  static let all = [
    Network(
      name: "clean", title: "100 Mbit/s, 80 ms, 1 % loss", commands: path, rounds: 3),
    Network(
      name: "policed", title: "the same, each UDP flow policed to 2 Mbit/s, TCP flow to 10",
      commands: path + ["police udp 2mbit 20k", "police tcp 10mbit 100k"], rounds: 1),
    Network(
      name: "no-udp", title: "the same as the first, UDP blocked",
      commands: path + ["block udp"], rounds: 1),
    Network(
      name: "holes", title: "the same as the first, half of the ports dead after 1 MB",
      commands: path + ["blackhole ports 50% after 1M"], rounds: 1),
  ]

  /// The least share of kcptun alone on the clean path that issue 5 asks for; nil where it asks for none. The policers'
  /// sum is that of one connection to each port.
  func target(_ way: Way, alone: Double) -> Double? {
    guard case .rsock(let carrier) = way, alone > 0 else { return nil }
    switch name {
    case "clean": return 0.97
    case "policed":
      let sum = Double(Way.portCount) * carrier.policedRate
      return 0.75 * min(sum / alone, 1)
    default: return nil
    }
  }
}
