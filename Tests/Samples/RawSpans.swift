// Arrays of bytes as the spans that parsers and emitters take.

extension [UInt8] {
  /// The bytes, to read.
  public var rawSpan: RawSpan {
    @_lifetime(borrow self)
    borrowing get { unsafe span.bytes }
  }

  /// Calls `body` with the bytes, to write.
  public mutating func withMutableRawSpan<Result>(
    _ body: (inout MutableRawSpan) -> Result
  ) -> Result {
    unsafe withUnsafeMutableBytes { buffer in
      var bytes = unsafe MutableRawSpan(_unsafeBytes: buffer)
      return body(&bytes)
    }
  }
}
