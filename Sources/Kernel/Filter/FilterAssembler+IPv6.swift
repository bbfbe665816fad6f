// The part of the tunnel's filter that is about IPv6: addresses of four words, and headers between the
// first one and that of the segment.

import Glibc
import Wire

extension FilterAssembler {
  /// How many headers between are passed over, as Linux itself sends them at most: hop-by-hop,
  /// destination options, routing, destination options.
  private static let extensionLimit = 4
  private static let extensions = [IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS]

  /// Goes on with X behind the IPv6 header there and those between, where one of `protocols` comes next,
  /// from and to these. Where there are more than `limit` addresses, it is their first three words that
  /// count, or two, or one.
  mutating func requireIPv6(
    of protocols: [TunnelProtocol], from sources: [IPAddress]?, to addresses: [IPAddress],
    atMost limit: Int, otherwise reject: Label
  ) {
    if let sources { require(.source, in: sources, atMost: limit, otherwise: reject) }
    require(.destination, in: addresses, atMost: limit, otherwise: reject)
    passExtensions(to: protocols.map { UInt32($0.number(.ipv6)) }, otherwise: reject)
  }

  /// Where in the IPv6 header an address is.
  private enum AddressField: Int {
    case source = 8
    case destination = 24
  }

  private mutating func require(
    _ field: AddressField, in addresses: [IPAddress], atMost limit: Int, otherwise reject: Label
  ) {
    let found = label()
    let all = addresses.map(\.words)
    for count in (0...4).reversed() {
      let prefixes = Set(all.map { Array($0.prefix(count)) }).sorted {
        $0.lexicographicallyPrecedes($1)
      }
      guard prefixes.count <= limit || count == 0 else { continue }
      if prefixes.isEmpty {
        jump(to: reject)
      } else {
        match(field, prefixes[...], 0, found, reject)
      }
      break
    }
    place(found)
  }

  /// Goes to `found` where the words of the address from `index` on are those of one of the
  /// prefixes, in ascending order, which have the same words before.
  private mutating func match(
    _ field: AddressField, _ prefixes: ArraySlice<[UInt32]>, _ index: Int, _ found: Label,
    _ reject: Label
  ) {
    guard index < prefixes[prefixes.startIndex].count else { return jump(to: found) }
    var groups: [(word: UInt32, prefixes: ArraySlice<[UInt32]>)] = []
    for place in prefixes.indices {
      let word = prefixes[place][index]
      let start = groups.last?.word == word ? groups.removeLast().prefixes.startIndex : place
      groups.append((word, prefixes[start...place]))
    }
    load(.word, atX: UInt32(field.rawValue + 4 * index))
    search(field, groups[...], index, found, reject)
  }

  private mutating func search(
    _ field: AddressField, _ groups: ArraySlice<(word: UInt32, prefixes: ArraySlice<[UInt32]>)>,
    _ index: Int, _ found: Label, _ reject: Label
  ) {
    let middle = groups.startIndex + groups.count / 2
    let word = groups[middle].word
    guard groups.count > 1 else {
      jump(if: .equal, word, otherwise: reject)
      return match(field, groups[middle].prefixes, index + 1, found, reject)
    }
    let upper = label()
    jump(if: .greaterOrEqual, word, then: upper)
    search(field, groups[..<middle], index, found, reject)
    place(upper)
    search(field, groups[middle...], index, found, reject)
  }

  /// Goes on where one of the `protocols` comes next, or behind the headers that are passed over.
  private mutating func passExtensions(to protocols: [UInt32], otherwise reject: Label) {
    let found = label()
    load(.byte, atX: 6)
    store(to: Self.protocolWord)
    setA(40)
    addX()
    moveToX()
    load(from: Self.protocolWord)
    for _ in 0..<Self.extensionLimit {
      let passed = label()
      for number in protocols { jump(if: .equal, number, then: found) }
      for number in Self.extensions { jump(if: .equal, UInt32(number), then: passed) }
      jump(to: reject)
      place(passed)
      load(.byte, atX: 0)
      store(to: Self.protocolWord)
      load(.byte, atX: 1)
      shiftLeft(3)
      add(8)
      addX()
      moveToX()
      load(from: Self.protocolWord)
    }
    for number in protocols { jump(if: .equal, number, then: found) }
    jump(to: reject)
    place(found)
  }
}
