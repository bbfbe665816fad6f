// The plots of docs/scheduling.md: not part of the tests, but made by them on demand:
//
//   RSOCK_PLOTS=docs swift test -c release -Xswiftc -enable-testing --filter PlotTests

import Engine
import Glibc
import Testing
import Wire

/// A world of docs/scheduling.md: what happens to its paths after two seconds.
struct PlottedWorld: Sendable, CustomTestStringConvertible {
  let name: String
  let title: String
  var rate = 20_000_000
  var seconds = 12
  /// Gets the flow's port and all ports.
  let change: @Sendable (World, UInt16, ClosedRange<UInt16>) -> Void

  var testDescription: String { name }

  static let all = [
    PlottedWorld(name: "healthy", title: "healthy, 50 Mbit/s", rate: 50_000_000) { _, _, _ in },
    PlottedWorld(name: "blackholed", title: "the home is blackholed after 2 s") { world, home, _ in
      world.lanes[home] = .dead
    },
    PlottedWorld(name: "policed", title: "each channel is policed to a tenth of the load after 2 s")
    { world, _, ports in
      for port in ports {
        world.lanes[port] = Lane(policers: [.toServer: Policer(rate: 2_000_000)])
      }
    },
    PlottedWorld(name: "slower", title: "the home is 40 ms slower after 2 s") { world, home, _ in
      world.lanes[home] = Lane(delay: .milliseconds(40))
    },
    PlottedWorld(
      name: "half-lossy", title: "the home and two others lose 5 % after 2 s", seconds: 20
    ) { world, home, ports in
      let others = ports.filter { $0 != home }
      for port in [home, others[1], others[3]] { world.lanes[port] = Lane(lossPerMille: 50) }
    },
    PlottedWorld(name: "all-lossy", title: "all lose 2 % after 2 s") { world, _, _ in
      world.conditions.lossPerMille = 20
    },
  ]
}

struct Unwritable: Error {
  let directory: String
}

@Suite(.enabled(if: unsafe getenv("RSOCK_PLOTS") != nil)) struct PlotTests {
  @Test(arguments: PlottedWorld.all) func plot(_ plotted: PlottedWorld) throws {
    let ports: ClosedRange<UInt16> = 10_001...10_006
    let world = World(ports: ports)
    world.connect()
    let load = Load(world, rate: plotted.rate)
    var shares: [UInt16: [Double]] = [:]
    let steps = plotted.seconds * 5
    for step in 0..<steps {
      if step == 10 { plotted.change(world, load.busiest, ports) }
      let before = load.carried
      load.run(for: .milliseconds(200))
      let sums = ports.map { (load.carried[$0] ?? 0) - (before[$0] ?? 0) }
      let all = Double(max(sums.reduce(0, +), 1))
      for (port, sum) in zip(ports, sums) { shares[port, default: []].append(Double(sum) / all) }
    }
    load.finish()
    let losses = (0..<steps).map { load.loss(Double($0) / 5, Double($0 + 1) / 5) }
    let directory = unsafe String(cString: getenv("RSOCK_PLOTS")!)
    let text = Self.picture(plotted.title, ports.map { shares[$0] ?? [] }, losses)
    let file = unsafe fopen("\(directory)/scheduling-\(plotted.name).svg", "w")
    guard let opened = unsafe file else { throw Unwritable(directory: directory) }
    let (written, closed) = unsafe (fputs(text, opened), fclose(opened))
    #expect(written >= 0 && closed == 0)
  }

  private static let colours = ["#1b6ca8", "#d1495b", "#66a182", "#edae49", "#6f4e7c", "#8d96a3"]

  /// Shares as lines of a colour each, losses as a black broken one.
  private static func picture(
    _ title: String, _ shares: [[Double]], _ losses: [Double]
  ) -> String {
    let (left, top, width, height) = (50.0, 30.0, 560.0, 150.0)
    func line(_ values: [Double], _ style: String) -> String {
      let points = values.enumerated().map { place, value in
        let x = left + width * Double(place) / Double(max(values.count - 1, 1))
        return "\(Int(x)),\(Int(top + height * (1 - value)))"
      }
      return "<polyline fill=\"none\" \(style) points=\"\(points.joined(separator: " "))\"/>"
    }
    func label(_ text: String, _ x: Double, _ y: Double, _ anchor: String) -> String {
      "<text x=\"\(Int(x))\" y=\"\(Int(y))\" text-anchor=\"\(anchor)\">\(text)</text>"
    }
    var parts = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 220\" "
        + "font-family=\"sans-serif\" font-size=\"12\">",
      "<rect width=\"640\" height=\"220\" fill=\"white\"/>",
      "<rect x=\"50\" y=\"30\" width=\"560\" height=\"150\" fill=\"none\" stroke=\"#999\"/>",
      label(title, left, 20, "start"),
      label("100 %", left - 4, top + 8, "end"), label("0", left - 4, top + height, "end"),
      label("0 s", left, top + height + 16, "start"),
      label("\(losses.count / 5) s", left + width, top + height + 16, "end"),
      label("share of each channel; broken: lost", left + width / 2, top + height + 32, "middle"),
    ]
    for (values, colour) in zip(shares, colours) {
      parts.append(line(values, "stroke=\"\(colour)\" stroke-width=\"2\""))
    }
    parts.append(line(losses, "stroke=\"black\" stroke-dasharray=\"4 3\""))
    return (parts + ["</svg>"]).joined(separator: "\n") + "\n"
  }
}
