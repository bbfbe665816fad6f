// What is said over the control socket, as values; docs/control.md has the bytes. How they are written
// is not for Driver to know: `rsock` passes that in, and its own commands read it again.

public import Engine

/// What a running rsock can be asked for.
public enum ControlRequest: String, Hashable, Sendable, CaseIterable {
  /// How it is.
  case status
  /// A client: every channel anew.
  case reconnect
  /// That it ends.
  case stop
}

/// One line of an answer.
public enum ControlAnswer: Sendable {
  /// The first line about how it is.
  case program(ProgramStatus)
  /// A line for each session, behind that of the program.
  case session(SessionStatus)
  /// Nothing more comes.
  case done
  /// It was not done: one sentence.
  case refused(String)
}

/// How requests are read and answers written. Both get and give one line, without its end.
public struct ControlCodec: Sendable {
  /// Nil where the line is no request.
  public var request: @Sendable (ArraySlice<UInt8>) -> ControlRequest?
  /// A line of any length.
  public var answer: @Sendable (ControlAnswer) -> [UInt8]

  /// A codec from its two halves.
  public init(
    request: @escaping @Sendable (ArraySlice<UInt8>) -> ControlRequest?,
    answer: @escaping @Sendable (ControlAnswer) -> [UInt8]
  ) {
    self.request = request
    self.answer = answer
  }
}

/// Where a process is to be asked, and in which words.
public struct ControlConfiguration: Sendable {
  /// The path of the socket; nil for the one in the runtime directory.
  public var path: String?
  /// How requests are read and answers written.
  public var codec: ControlCodec

  /// A configuration from its parts.
  public init(path: String? = nil, codec: ControlCodec) {
    self.path = path
    self.codec = codec
  }
}
