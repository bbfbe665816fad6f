// All runs, as a table and as a plot.

import LinkModel
import NamespaceSupport
import Plot

/// What was measured.
struct Results {
  private var runs: [(network: Network, way: Way, measurement: Measurement)] = []

  mutating func add(_ measurement: Measurement, _ way: Way, on network: Network) {
    runs.append((network, way, measurement))
  }

  /// A table for people and for Markdown.
  var table: String {
    let alone = median(.alone, on: "clean")
    var lines = [
      "| network | way | Mbit/s | of kcptun alone, clean | target |"
        + " sent on the link, Mbit/s | lost % | queue % | policed % | holes % | kcptun + rsock CPU |",
      "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (network, way) in pairs {
      let share = alone > 0 ? median(way, on: network.name) / alone : 0
      let target = network.target(way, alone: alone)
      let verdict = target.map {
        "\(decimal($0)) \(share >= $0 ? "reached" : "missed")"
      }
      let cells =
        [
          network.name, way.name, decimal(median(way, on: network.name), 1), decimal(share),
          verdict ?? "",
        ] + measurement(way, on: network.name).cells
      lines.append("| " + cells.joined(separator: " | ") + " |")
    }
    return lines.joined(separator: "\n")
  }

  /// Goodput over time, a panel for each network.
  func plot(_ title: String) -> LinePlot {
    let networks = pairs.map(\.network).reduce(into: [Network]()) { networks, network in
      if !networks.contains(where: { $0.name == network.name }) { networks.append(network) }
    }
    let step = Measurement.stretch / .seconds(1)
    return LinePlot(
      title: title, x: "seconds", y: "Mbit/s",
      panels: networks.map { network in
        Panel(
          title: network.title,
          lines: pairs.filter { $0.network.name == network.name }.map { _, way in
            let rates = measurement(way, on: network.name).rates
            return Line(
              name: way.name,
              points: rates.enumerated().map { ((Double($0) + 0.5) * step, $1) })
          })
      })
  }

  private var pairs: [(network: Network, way: Way)] {
    runs.reduce(into: []) { pairs, run in
      if !pairs.contains(where: { $0.network.name == run.network.name && $0.way == run.way }) {
        pairs.append((run.network, run.way))
      }
    }
  }

  private func runs(_ way: Way, on network: String) -> [Measurement] {
    runs.filter { $0.way == way && $0.network.name == network }.map(\.measurement)
      .sorted { $0.goodput < $1.goodput }
  }

  private func median(_ way: Way, on network: String) -> Double {
    let runs = runs(way, on: network)
    return runs.isEmpty ? 0 : runs[runs.count / 2].goodput
  }

  /// The run whose goodput is the median.
  private func measurement(_ way: Way, on network: String) -> Measurement {
    let runs = runs(way, on: network)
    return runs[runs.count / 2]
  }
}

extension Measurement {
  /// What the link did to the way down, and what it cost.
  fileprivate var cells: [String] {
    let down = report.down
    let arrived = Double(max(1, down[.arrived]))
    func percent(_ counts: Count...) -> String {
      decimal(Double(counts.map { down[$0] }.reduce(0, +)) / arrived * 100, 1)
    }
    let seconds = Double(rates.count) * (Self.stretch / .seconds(1))
    return [
      decimal(Double(down[.sentBytes]) * 8 / 1e6 / seconds, 1), percent(.lost),
      percent(.overflowed), percent(.policed), percent(.blackholed, .blocked),
      decimal(processorShare),
    ]
  }

  /// A line while the bench runs.
  func summary(_ way: Way, on network: Network) -> String {
    "\(network.name), \(way.name): \(decimal(goodput, 1)) Mbit/s; processors busy: "
      + "\(decimal(busyProcessors, 1)); frames left the link \(report.lateness)"
  }
}

/// A number with so many decimals.
func decimal(_ number: Double, _ places: Int = 2) -> String {
  let scale = (0..<places).reduce(1) { scale, _ in scale * 10 }
  let scaled = Int((number * Double(scale)).rounded())
  let fraction = String(scaled % scale)
  return "\(scaled / scale)." + String(repeating: "0", count: places - fraction.count) + fraction
}
