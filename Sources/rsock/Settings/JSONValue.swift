// Any JSON value: the original takes numbers here and strings there, so the shape is judged later.

/// A JSON value (RFC 8259); arrays are not told apart, no setting is one.
enum JSONValue: Decodable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array
  case object([String: JSONValue])

  init(from decoder: any Decoder) throws {
    if let members = try? decoder.container(keyedBy: Key.self) {
      self = .object(
        try members.allKeys.reduce(into: [:]) {
          $0[$1.stringValue] = try members.decode(JSONValue.self, forKey: $1)
        })
      return
    }
    if (try? decoder.unkeyedContainer()) != nil {
      self = .array
      return
    }
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else {
      self = .string(try value.decode(String.self))
    }
  }

  /// The value as an option on the command line would have it; nil where it is no simple value.
  var text: String? {
    switch self {
    case .bool(let bool): bool ? "1" : "0"
    case .number(let number): Int64(exactly: number).map { "\($0)" } ?? "\(number)"
    case .string(let string): string
    case .null, .array, .object: nil
    }
  }

  /// The value where it is a string.
  var string: String? {
    if case .string(let string) = self { string } else { nil }
  }

  private struct Key: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
