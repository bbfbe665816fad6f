// Messages from the kernel: views of received bytes that check every length. libmnl's own
// iterators hand out pointers, which nothing keeps inside the buffer; a span does.

package import CMnl

/// One received message.
package struct NetlinkMessage: ~Escapable {
  /// Its header.
  package let header: nlmsghdr
  /// What is behind the header.
  package let payload: RawSpan
  /// What is behind the message.
  package let rest: RawSpan

  /// The first message in `bytes`, nil where there is no whole one.
  @_lifetime(copy bytes)
  package init?(_ bytes: RawSpan) {
    guard let header = bytes.value(nlmsghdr.self) else { return nil }
    let length = Int(header.nlmsg_len)
    guard length >= MemoryLayout<nlmsghdr>.size, length <= bytes.byteCount else { return nil }
    self.header = header
    payload = bytes.extracting(MemoryLayout<nlmsghdr>.size..<length)
    rest = bytes.extracting(droppingFirst: min(aligned(length), bytes.byteCount))
  }

  /// The protocol's own header at the start of the payload, nil where it is cut short.
  package func prefix<Header: BitwiseCopyable>(_ type: Header.Type) -> Header? {
    payload.value(type)
  }

  /// The attributes behind a protocol's header.
  @_lifetime(copy self)
  package func attributes<Header: BitwiseCopyable>(behind type: Header.Type) -> NetlinkAttributes {
    let start = min(aligned(MemoryLayout<Header>.size), payload.byteCount)
    return NetlinkAttributes(payload.extracting(droppingFirst: start))
  }
}

/// A list of attributes.
package struct NetlinkAttributes: ~Escapable {
  private let bytes: RawSpan

  /// The attributes in `bytes`; from the first malformed one on they count as absent.
  @_lifetime(copy bytes)
  package init(_ bytes: RawSpan) { self.bytes = bytes }

  /// The payload of the first attribute of this type.
  @_lifetime(copy self)
  package func find(_ type: Int) -> RawSpan? {
    let size = MemoryLayout<nlattr>.size
    var rest = bytes
    while let attribute = rest.value(nlattr.self) {
      let length = Int(attribute.nla_len)
      guard length >= size, length <= rest.byteCount else { return nil }
      // The upper two bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
      if Int(attribute.nla_type & 0x3FFF) == type { return rest.extracting(size..<length) }
      rest = rest.extracting(droppingFirst: min(aligned(length), rest.byteCount))
    }
    return nil
  }

  /// The attribute's value, nil where it is absent or of another size.
  package func value<Value: BitwiseCopyable>(_ type: Int, as _: Value.Type) -> Value? {
    guard let found = find(type), found.byteCount == MemoryLayout<Value>.size else { return nil }
    return found.value(Value.self)
  }

  /// The attribute's text up to its zero byte.
  package func text(_ type: Int) -> String? {
    guard let found = find(type) else { return nil }
    var text: [UInt8] = []
    for offset in 0..<found.byteCount {
      let byte = found.value(UInt8.self, at: offset) ?? 0
      if byte == 0 { break }
      text.append(byte)
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The attributes in this attribute; none where it is absent.
  @_lifetime(copy self)
  package func nested(_ type: Int) -> NetlinkAttributes {
    if let found = find(type) { return NetlinkAttributes(found) }
    return NetlinkAttributes(bytes.extracting(first: 0))
  }
}

/// Messages and attributes start at multiples of 4 (`NLMSG_ALIGN`, `NLA_ALIGN`).
private func aligned(_ length: Int) -> Int { (length + 3) & ~3 }

extension RawSpan {
  /// A value in this host's byte order, nil where the span ends before it does.
  fileprivate func value<Value: BitwiseCopyable>(_ type: Value.Type, at offset: Int = 0) -> Value? {
    guard byteCount - offset >= MemoryLayout<Value>.size else { return nil }
    return unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: type)
  }
}
