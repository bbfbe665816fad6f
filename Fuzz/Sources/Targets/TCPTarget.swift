// TCP headers and their options.

import Samples
import Wire

extension FuzzTarget {
  static let tcp = FuzzTarget(name: "tcp") { input in
    guard let segment = TCPSegment(input) else { return }
    require(
      segment.headerLength == TCPHeader.byteCount + segment.options.byteCount
        && segment.headerLength + segment.payload.byteCount == input.byteCount,
      "header, options and payload are all there is")
    let options = TCPOptions(parsing: segment.options)
    require(options.windowScale ?? 0 <= 14, "a scale is at most 14")
    require(options.maximumSegmentSize != 0, "no option is 0 bytes")
    let header = TCPHeader(
      sourcePort: segment.sourcePort, destinationPort: segment.destinationPort,
      sequence: segment.sequence, acknowledgment: segment.acknowledgment, flags: segment.flags,
      window: segment.window)
    var bytes = [UInt8](repeating: 0, count: segment.headerLength)
    let optionLength = segment.options.byteCount
    bytes.withMutableRawSpan {
      header.emit(into: &$0, at: 0, optionLength: optionLength, checksum: 0)
    }
    guard let again = TCPSegment(bytes.rawSpan) else {
      return require(false, "a header that is written can be read")
    }
    require(
      again.headerLength == segment.headerLength && again.flags == segment.flags
        && again.sequence == segment.sequence && again.window == segment.window,
      "what was read is written the same")
  } seeds: {
    kernelSegments.mapValues { Array($0.dropFirst(IPv4Header.byteCount)) }
  }
}
