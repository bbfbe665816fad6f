// Big-endian numbers in spans. All of these trap outside the span: parsers check lengths first.

extension RawSpan {
  /// The byte at `offset`.
  @inlinable @inline(__always)
  public func byte(at offset: Int) -> UInt8 {
    unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  /// The 16-bit number in network byte order at `offset`.
  @inlinable @inline(__always)
  public func be16(at offset: Int) -> UInt16 {
    UInt16(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  /// The 32-bit number in network byte order at `offset`.
  @inlinable @inline(__always)
  public func be32(at offset: Int) -> UInt32 {
    UInt32(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// The 64-bit number in network byte order at `offset`.
  @inlinable @inline(__always)
  public func be64(at offset: Int) -> UInt64 {
    UInt64(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}

extension MutableRawSpan {
  /// Stores one byte at `offset`.
  @inlinable @inline(__always)
  public mutating func set(_ value: UInt8, at offset: Int) {
    storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
  }

  /// Stores a 16-bit number in network byte order at `offset`.
  @inlinable @inline(__always)
  public mutating func set(_ value: UInt16, at offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
  }

  /// Stores a 32-bit number in network byte order at `offset`.
  @inlinable @inline(__always)
  public mutating func set(_ value: UInt32, at offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
  }

  /// Stores a 64-bit number in network byte order at `offset`.
  @inlinable @inline(__always)
  public mutating func set(_ value: UInt64, at offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
  }
}

extension Span where Element: FixedWidthInteger & BitwiseCopyable {
  /// The bytes of the numbers as they lie in memory. Integers have no padding, so that is safe.
  @inlinable public var octets: RawSpan {
    @_lifetime(copy self)
    get { unsafe bytes }
  }
}

extension MutableSpan where Element: FixedWidthInteger & BitwiseCopyable {
  /// The bytes of the numbers, to be written.
  @inlinable public var mutableOctets: MutableRawSpan {
    @_lifetime(&self)
    mutating get { unsafe mutableBytes }
  }
}
