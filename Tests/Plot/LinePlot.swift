// Lines over time as SVG (https://www.w3.org/TR/SVG11/), for the documentation: text, and the same for the
// same numbers, so that git shows what changed.

/// A line and its name.
public struct Line: Sendable {
  /// What the legend calls it.
  public let name: String
  /// Its points: x, and y from 0.
  public let points: [(x: Double, y: Double)]

  /// A line from its points.
  public init(name: String, points: [(x: Double, y: Double)]) {
    self.name = name
    self.points = points
  }
}

/// One diagram.
public struct Panel: Sendable {
  /// What stands above it.
  public let title: String
  /// Lines of the same name have the same colour in all panels.
  public let lines: [Line]

  /// A diagram from its lines.
  public init(title: String, lines: [Line]) {
    self.title = title
    self.lines = lines
  }
}

/// Diagrams beside and below each other, two in a row, with one legend and common axes.
public struct LinePlot: Sendable {
  private static let panelWidth = 440.0
  private static let panelHeight = 200.0
  private static let margin = 52.0
  /// Distinguishable for the colour-blind (Okabe and Ito 2008).
  private static let colours = [
    "#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
  ]

  private let title: String
  private let xLabel: String
  private let yLabel: String
  private let panels: [Panel]
  private let names: [String]
  private let range: (x: Double, y: Double)

  /// A plot of panels that share their axes.
  public init(title: String, x xLabel: String, y yLabel: String, panels: [Panel]) {
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    self.panels = panels
    let lines = panels.flatMap(\.lines)
    names = lines.map(\.name).reduce(into: []) { names, name in
      if !names.contains(name) { names.append(name) }
    }
    let points = lines.flatMap(\.points)
    range = (
      Self.roundedUp(points.map(\.x).max() ?? 1), Self.roundedUp(points.map(\.y).max() ?? 1)
    )
  }

  /// The file's text.
  public var svg: String {
    let rows = (panels.count + 1) / 2
    let width = 2 * (Self.panelWidth + Self.margin) + Self.margin / 2
    let height = 64 + Double(rows) * (Self.panelHeight + Self.margin)
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(text(width)) \(text(height))" \
      font-family="sans-serif" font-size="12">
      <rect width="100%" height="100%" fill="#ffffff"/>
      <text x="\(text(Self.margin))" y="20" font-size="14">\(escaped(title))</text>
      """
    ]
    parts += names.enumerated().map { legend($0, $1) }
    for (index, panel) in panels.enumerated() {
      let x = Self.margin + Double(index % 2) * (Self.panelWidth + Self.margin)
      let y = 72 + Double(index / 2) * (Self.panelHeight + Self.margin)
      parts.append("<g transform=\"translate(\(text(x)) \(text(y)))\">")
      parts += axes(panel.title) + panel.lines.map(path) + ["</g>"]
    }
    return (parts + ["</svg>", ""]).joined(separator: "\n")
  }

  private func legend(_ index: Int, _ name: String) -> String {
    let x = Self.margin + Double(index) * 170
    return """
      <path d="M\(text(x)) 38h24" stroke="\(colour(name))" stroke-width="2"/>\
      <text x="\(text(x + 30))" y="42">\(escaped(name))</text>
      """
  }

  private func axes(_ title: String) -> [String] {
    let (width, height) = (text(Self.panelWidth), text(Self.panelHeight))
    var parts = [
      "<text y=\"-6\" font-weight=\"bold\">\(escaped(title))</text>",
      "<path d=\"M0 0V\(height)H\(width)\" fill=\"none\" stroke=\"#444444\"/>",
    ]
    for step in 0...4 {
      let share = Double(step) / 4
      let (x, y) = (share * Self.panelWidth, (1 - share) * Self.panelHeight)
      parts.append(
        """
        <path d="M0 \(text(y))H\(width)" stroke="#dddddd"/>\
        <text x="-6" y="\(text(y + 4))" text-anchor="end">\(text(share * range.y))</text>\
        <text x="\(text(x))" y="\(text(Self.panelHeight + 16))" \
        text-anchor="middle">\(text(share * range.x))</text>
        """)
    }
    let below = "y=\"\(text(Self.panelHeight + 30))\""
    parts.append(
      "<text x=\"\(text(Self.panelWidth / 2))\" \(below) text-anchor=\"middle\">"
        + "\(escaped(xLabel))</text>")
    parts.append(
      "<text transform=\"translate(-38 \(text(Self.panelHeight / 2))) rotate(-90)\" "
        + "text-anchor=\"middle\">\(escaped(yLabel))</text>")
    return parts
  }

  private func path(_ line: Line) -> String {
    let points = line.points.map { point in
      text(point.x / range.x * Self.panelWidth) + " "
        + text((1 - point.y / range.y) * Self.panelHeight)
    }
    return "<polyline points=\"\(points.joined(separator: ","))\" fill=\"none\" "
      + "stroke=\"\(colour(line.name))\" stroke-width=\"1.5\"/>"
  }

  private func colour(_ name: String) -> String {
    Self.colours[(names.firstIndex(of: name) ?? 0) % Self.colours.count]
  }

  /// The next of 1, 2, 3, 4, 6, 8 times a power of ten, so that quarters are short numbers.
  static func roundedUp(_ number: Double) -> Double {
    guard number > 0, number.isFinite else { return 1 }
    var power = 1.0
    while power * 10 <= number { power *= 10 }
    while power > number { power /= 10 }
    return [1, 2, 3, 4, 6, 8, 10].map { $0 * power }.first { $0 >= number }!
  }

  // At most two decimals, without zeros behind them.
  private func text(_ number: Double) -> String {
    let hundredths = Int((number * 100).rounded())
    let (whole, fraction) = (abs(hundredths) / 100, abs(hundredths) % 100)
    let sign = hundredths < 0 ? "-" : ""
    if fraction == 0 { return "\(sign)\(whole)" }
    if fraction % 10 == 0 { return "\(sign)\(whole).\(fraction / 10)" }
    return "\(sign)\(whole).\(fraction < 10 ? "0" : "")\(fraction)"
  }

  private func escaped(_ text: String) -> String {
    text.map { character in
      switch character {
      case "&": "&amp;"
      case "<": "&lt;"
      case ">": "&gt;"
      default: String(character)
      }
    }.joined()
  }
}
