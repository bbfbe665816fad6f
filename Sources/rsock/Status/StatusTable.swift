// The status as text for a terminal, 100 columns at most.

import Driver

/// What `rsock status` prints of one running rsock.
struct StatusTable {
  private static let width = 100

  /// The text, with its last line end.
  let text: String

  init(_ program: ProgramDocument) {
    var lines = Self.head(program)
    for session in program.sessions ?? [] {
      lines += ["", Self.title(session, ofServer: program.role == "server")]
      if let largest = session.largestDatagram {
        lines.append("  \(PacketSize.sentence(largestDatagram: largest))")
      }
      lines += session.channels.isEmpty ? ["  no channel"] : Self.rows(session.channels)
    }
    text = lines.map { $0.printable + "\n" }.joined()
  }

  private static func head(_ program: ProgramDocument) -> [String] {
    let isServer = program.role == "server"
    let address =
      program.address == program.taddr ? "" : " (\(program.address ?? "address not known"))"
    let way =
      isServer
      ? "server on ports \(program.ports), datagrams go to \(program.taddr)\(address)"
      : "client at \(program.listen ?? "?"), to \(program.taddr)\(address) ports \(program.ports)"
    var lines = [
      way, "pid \(program.pid), up \(duration(program.uptime)), \(protection(program, isServer))",
      "\(count(program.datagramsSent, "datagram")) sent, \(program.datagramsReceived) received; "
        + "\(program.notSent) not sent, \(program.notDelivered) not delivered, "
        + "\(program.notReceived) not received",
    ]
    let drops = program.drops.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    lines += wrapped("dropped: ", drops.map { "\($0.key) \($0.value)" })
    return lines
  }

  private static func protection(_ program: ProgramDocument, _ isServer: Bool) -> String {
    switch program.protection {
    case "sealed": "sealed"
    case "authenticated": "a key, but data is not sealed: it can be read and forged on the way"
    default:
      isServer
        ? "no key: anyone who can reach the ports can use this server"
        : "no key: what the tunnel carries can be read and forged on the way"
    }
  }

  /// Words behind a title, over as many lines as they take; none where there are no words.
  private static func wrapped(_ title: String, _ words: [String]) -> [String] {
    var lines: [String] = []
    for word in words {
      if let last = lines.last, last.count + word.count + 2 < width {
        lines[lines.count - 1] = "\(last), \(word)"
      } else {
        if !lines.isEmpty { lines[lines.count - 1] += "," }
        lines.append((lines.isEmpty ? title : "  ") + word)
      }
    }
    return lines
  }

  private static func title(_ session: SessionDocument, ofServer isServer: Bool) -> String {
    let client = session.client.map { $0.isEmpty ? "" : " of \($0)" } ?? ""
    return "session \(session.id)\(client): \(session.state), \(duration(session.age)) old, "
      + "\(count(UInt64(session.flowCount), "flow")), idle for \(duration(session.idle))"
  }

  // MARK: - Channels

  private static let titles = [
    "carrier", "state", "port", "remote", "age", "rtt", "loss", "share", "sent B/s", "recv B/s",
  ]
  private static let remoteColumn = 3

  private static func rows(_ channels: [ChannelDocument]) -> [String] {
    var table = [titles] + channels.map { cells($0).map(\.printable) }
    var widths = titles.indices.map { column in table.map { $0[column].count }.max() ?? 0 }
    let others = widths.reduce(0, +) - widths[remoteColumn] + 2 * widths.count
    // The end of an address, with the port, tells more channels apart than its beginning.
    let room = max(8, width - others)
    if widths[remoteColumn] > room {
      widths[remoteColumn] = room
      for row in table.indices where table[row][remoteColumn].count > room {
        table[row][remoteColumn] = "…" + table[row][remoteColumn].suffix(room - 1)
      }
    }
    return table.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        // Words to the left, numbers to the right.
        line += "  " + (column < 2 || column == remoteColumn ? cell + padding : padding + cell)
      }
      return line
    }
  }

  private static func cells(_ channel: ChannelDocument) -> [String] {
    [
      channel.carrier,
      channel.proxied == true && channel.state == "healthy" ? "proxied" : channel.state,
      String(
        channel.local[(channel.local.lastIndex(of: ":") ?? channel.local.startIndex)...]
          .dropFirst()),
      channel.remote, channel.age.map(duration) ?? "-",
      channel.roundTrip.map(milliseconds) ?? "-",
      channel.loss.map(percent) ?? "-", channel.share.map(percent) ?? "-",
      channel.rates.map { amount($0.sent.bytes) } ?? "-",
      channel.rates.map { amount($0.received.bytes) } ?? "-",
    ]
  }

  // MARK: - Numbers

  private static func count(_ number: UInt64, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
  }

  /// 9s, 3m20s, 2h03m, 5d02h.
  static func duration(_ seconds: Double) -> String {
    let whole = Int(max(0, min(seconds, 1e12)))
    func pair(_ large: Int, _ largeUnit: String, _ small: Int, _ smallUnit: String) -> String {
      "\(large)\(largeUnit)\(small < 10 ? "0" : "")\(small)\(smallUnit)"
    }
    switch whole {
    case ..<60: return "\(whole)s"
    case ..<3_600: return pair(whole / 60, "m", whole % 60, "s")
    case ..<86_400: return pair(whole / 3_600, "h", whole / 60 % 60, "m")
    default: return pair(whole / 86_400, "d", whole / 3_600 % 24, "h")
    }
  }

  private static func milliseconds(_ seconds: Double) -> String {
    let tenths = Int((max(0, min(seconds, 1e6)) * 10_000).rounded())
    return tenths < 1_000 ? "\(tenths / 10).\(tenths % 10)ms" : "\((tenths + 5) / 10)ms"
  }

  /// 0%, 0.4%, 17%.
  static func percent(_ part: Double) -> String {
    let tenths = Int((max(0, min(part, 1)) * 1_000).rounded())
    guard tenths > 0, tenths < 100 else { return "\((tenths + 5) / 10)%" }
    return "\(tenths / 10).\(tenths % 10)%"
  }

  /// 0, 812, 1.2k, 34.5M, 1.3G.
  static func amount(_ number: Double) -> String {
    var (value, unit) = (max(0, min(number, 1e15)), "")
    for next in ["k", "M", "G"] where value >= 999.5 { (value, unit) = (value / 1_000, next) }
    guard !unit.isEmpty, value < 99.95 else { return "\(Int(value.rounded()))\(unit)" }
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)\(unit)"
  }
}
