import Testing

@testable import Plot

@Suite struct LinePlotTests {
  private let plot = LinePlot(
    title: "a < b & c", x: "seconds", y: "Mbit/s",
    panels: [
      Panel(
        title: "one",
        lines: [
          Line(name: "tcp", points: [(0, 0), (15, 20), (30, 40)]),
          Line(name: "udp", points: [(0, 10), (30, 5)]),
        ]),
      Panel(title: "two", lines: [Line(name: "udp", points: [(0, 1)])]),
    ])

  @Test func pointsLieWhereTheAxesSay() {
    // 440 by 200 for 30 s and 40 Mbit/s.
    #expect(plot.svg.contains("points=\"0 200,220 100,440 0\""))
    #expect(plot.svg.contains("points=\"0 150,440 175\""))
    for label in ["7.5", "15", "22.5", "30", "10", "20", "40"] {
      #expect(plot.svg.contains(">\(label)</text>"))
    }
  }

  @Test func aNameHasOneColour() {
    let lines = plot.svg.split(separator: "\n").filter { $0.hasPrefix("<polyline") }
    #expect(lines.count == 3)
    #expect(lines.map { $0.contains("#0072b2") } == [false, true, true])
  }

  @Test func elementsCloseAndTextIsEscaped() {
    #expect(plot.svg.contains(">a &lt; b &amp; c</text>"))
    for element in ["svg", "g", "text"] {
      let opened = plot.svg.ranges(of: "<\(element) ").count
      #expect(opened > 0 && opened == plot.svg.ranges(of: "</\(element)>").count)
    }
  }

  @Test(arguments: [(0.0, 1.0), (1, 1), (9.1, 10), (30, 30), (31, 40), (49.2, 60), (0.05, 0.06)])
  func axesEndAtShortNumbers(number: Double, end: Double) {
    #expect(abs(LinePlot.roundedUp(number) - end) < 1e-9)
  }
}
