// ci/bench: datagrams per second and what one costs, for rsock, for plain UDP and for two socat
// relays, between two namespaces of this machine.
//
// The machine may be shared and noisy. So the paths take turns, each figure is a median, and what
// counts is the ratio between paths of the same run.

import Glibc
import NamespaceSupport
import Wire

@main
enum Traffic {
  static func main() async {
    do {
      let arguments = CommandLine.arguments.dropFirst().compactMap { Int($0) }
      let rounds = arguments.first ?? 5
      let size = arguments.dropFirst().first ?? 1400
      guard geteuid() == 0 else {
        throw Failure("ci/bench makes network namespaces: run it as root")
      }
      for offloads in [Offloads.on, .off] {
        for (type, protection) in kinds {
          let table = try await withTwoHosts(offloads: offloads) { client, server in
            try compare(
              from: client, to: server, Tunnel.Options(protection, type: type), rounds: rounds,
              size: size)
          }
          print(
            "\n\(size)-byte datagrams, one way, rsock \(type) \(protection), "
              + "offloads \(offloads), medians of \(rounds):\n")
          print(table)
        }
      }
    } catch {
      print("bench: \(error)")
      exit(1)
    }
  }
}

/// What rsock is measured as.
private let kinds: [(type: String, Protection)] = [
  ("tcp", .plain), ("tcp", .sealed), ("udp", .plain), ("udp", .sealed),
]

/// A way from an app on one host to an app on the other.
private struct Path {
  let name: String
  let source: UDPSocket
  let destination: UDPSocket
  let programs: [ChildProcess]
}

private func compare(
  from client: Host, to server: Host, _ options: Tunnel.Options, rounds: Int, size: Int
) throws -> String {
  let paths = [
    try directPath(client, server), try socatPath(client, server),
    try rsockPath(client, server, options),
  ]
  var results = paths.map { _ in [Figures]() }
  for _ in 0..<rounds {
    for (index, path) in paths.enumerated() {
      results[index].append(try measure(path, size: size))
    }
  }
  return report(zip(paths.map(\.name), results.map { Figures(medianOf: $0) }).map { ($0, $1) })
}

private func directPath(_ client: Host, _ server: Host) throws -> Path {
  let end = Endpoint(server.address, 7000)
  return Path(
    name: "direct UDP", source: try UDPSocket(in: client.namespace, remote: end),
    destination: try UDPSocket(in: server.namespace, local: end), programs: [])
}

private func socatPath(_ client: Host, _ server: Host) throws -> Path {
  let end = Endpoint(Tunnel.exit.address, 7002)
  let destination = try UDPSocket(in: server.namespace, local: end)
  // SO_RCVBUFFORCE (33): with the default buffers it would lose a part of every window.
  let buffer = "setsockopt-int=1:33:4194304"
  let listening = "setsockopt-listen=1:33:x00004000"
  let far = try server.start(
    "socat", "-b", "65536", "UDP4-LISTEN:7001,\(listening)", "UDP4:\(end),\(buffer)")
  let near = try client.start(
    "socat", "-b", "65536", "UDP4-LISTEN:7003,bind=127.0.0.1,\(listening)",
    "UDP4:\(server.address):7001,\(buffer)")
  let source = try UDPSocket(
    in: client.namespace, remote: Endpoint(Tunnel.entrance.address, 7003))
  _ = try Tunnel.join(source, destination)
  return Path(
    name: "two socat", source: source, destination: destination, programs: [near, far])
}

private func rsockPath(
  _ client: Host, _ server: Host, _ options: Tunnel.Options
) throws -> Path {
  let tunnel = try Tunnel(from: client, to: server, options)
  return Path(
    name: "rsock", source: tunnel.app, destination: tunnel.target,
    programs: [tunnel.client, tunnel.server])
}

/// What one run, or the median of several, gave.
private struct Figures {
  var rate = 0.0
  var relayCost = 0.0
  var appCost = 0.0
  var loss = 0.0

  init(medianOf runs: [Figures]) {
    func median(_ field: KeyPath<Figures, Double>) -> Double {
      runs.map { $0[keyPath: field] }.sorted()[runs.count / 2]
    }
    rate = median(\.rate)
    relayCost = median(\.relayCost)
    appCost = median(\.appCost)
    loss = median(\.loss)
  }

  init(_ run: Throughput, relayTime: Duration) {
    let count = Double(max(run.received, 1))
    rate = count / (run.elapsed / .seconds(1))
    relayCost = relayTime / .microseconds(1) / count
    appCost = run.appTime / .microseconds(1) / count
    loss = Double(run.lost) / Double(max(run.received + run.lost, 1))
  }
}

private func measure(_ path: Path, size: Int) throws -> Figures {
  try path.destination.drain()
  let before = try path.programs.map { try $0.processorTime() }
  let run = try measureThroughput(
    from: path.source, to: path.destination, size: size, for: .seconds(1))
  let after = try path.programs.map { try $0.processorTime() }
  let relayTime = zip(after, before).reduce(Duration.zero) { $0 + ($1.0 - $1.1) }
  return Figures(run, relayTime: relayTime)
}

private func report(_ rows: [(name: String, figures: Figures)]) -> String {
  let reference = rows.last!.figures
  var lines = [
    row("", "datagrams/s", "to rsock", "both relays µs", "to rsock", "apps µs", "lost %")
  ]
  for (name, figures) in rows {
    lines.append(
      row(
        name, "\(Int(figures.rate))", decimal(figures.rate / reference.rate),
        decimal(figures.relayCost), decimal(figures.relayCost / reference.relayCost),
        decimal(figures.appCost), decimal(figures.loss * 100)))
  }
  return lines.joined(separator: "\n")
}

private func row(_ first: String, _ rest: String...) -> String {
  let cells = rest.map { String(repeating: " ", count: max(0, 16 - $0.count)) + $0 }
  return first + String(repeating: " ", count: max(0, 12 - first.count)) + cells.joined()
}

private func decimal(_ number: Double) -> String {
  guard number.isFinite else { return "-" }
  let hundredths = Int((number * 100).rounded())
  let fraction = hundredths % 100
  return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
}
