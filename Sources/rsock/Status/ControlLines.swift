// The lines of the control socket: JSON objects, one a line.

import Driver
import FoundationEssentials

/// A request.
struct RequestLine: Codable {
  var request: String
}

/// A line of an answer: one of these members says what it is.
struct AnswerLine: Codable {
  var program: ProgramDocument?
  var session: SessionDocument?
  var done: Bool?
  var error: String?
}

extension ControlCodec {
  /// JSON lines.
  static let jsonLines = ControlCodec(
    request: { line in
      let request = try? JSONDecoder().decode(RequestLine.self, from: Data(line))
      return (request?.request).flatMap(ControlRequest.init)
    },
    answer: { answer in
      switch answer {
      case .program(let status): json(AnswerLine(program: ProgramDocument(status)))
      case .session(let status): json(AnswerLine(session: SessionDocument(status)))
      case .done: json(AnswerLine(done: true))
      case .refused(let sentence): json(AnswerLine(error: sentence))
      }
    })
}

/// A value as JSON in one line; with `isPretty` over several, for people.
func json(_ value: some Encodable, isPretty: Bool = false) -> [UInt8] {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  if isPretty { encoder.outputFormatting.insert(.prettyPrinted) }
  // It fails for numbers that are none; there are no such.
  return (try? encoder.encode(value)).map(Array.init) ?? []
}

extension ControlCall {
  /// Asks for something and gives the lines of the answer, until the last one.
  mutating func answer(to request: ControlRequest) throws(StartError) -> [AnswerLine] {
    try ask(json(RequestLine(request: request.rawValue)))
    var lines: [AnswerLine] = []
    while true {
      let text = try nextLine()
      guard let line = try? JSONDecoder().decode(AnswerLine.self, from: Data(text)) else {
        throw StartError(
          .failure, "The answer makes no sense: is that rsock of another version than this one?")
      }
      if let error = line.error { throw StartError(.failure, error.printable) }
      if line.done != nil { return lines }
      lines.append(line)
    }
  }

  /// How the rsock at the other end is.
  mutating func status() throws(StartError) -> ProgramDocument {
    let lines = try answer(to: .status)
    guard var program = lines.first?.program, program.version == ProgramDocument.version else {
      throw StartError(
        .failure, "The status has another form: is that rsock of another version than this one?")
    }
    program.sessions = lines.compactMap(\.session)
    return program
  }
}
