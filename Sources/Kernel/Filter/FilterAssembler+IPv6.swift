// The part of the tunnel's filter that is about IPv6: addresses of four words, and headers between the
// first one and TCP's.

import Glibc
import Wire

extension FilterAssembler {
  /// How many headers between are passed over, as Linux itself sends them at most: hop-by-hop,
  /// destination options, routing, destination options.
  private static let extensionLimit = 4
  private static let extensions = [IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS]

  /// Goes on with X behind the IPv6 header there and those between, where TCP comes next, from and to
  /// these. Where there are more than `limit` addresses, it is their first three words that count, or
  /// two, or one.
  mutating func requireIPv6(
    from sources: [IPAddress]?, to addresses: [IPAddress], atMost limit: Int,
    otherwise reject: Label
  ) {
    if let sources { require(.source, in: sources, atMost: limit, otherwise: reject) }
    require(.destination, in: addresses, atMost: limit, otherwise: reject)
    passExtensions(otherwise: reject)
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

  private mutating func passExtensions(otherwise reject: Label) {
    let next: UInt32 = 0  // the word of memory for the number of the next header
    let found = label()
    load(.byte, atX: 6)
    store(to: next)
    setA(40)
    addX()
    moveToX()
    load(from: next)
    for _ in 0..<Self.extensionLimit {
      let passed = label()
      jump(if: .equal, UInt32(IPPROTO_TCP), then: found)
      for number in Self.extensions { jump(if: .equal, UInt32(number), then: passed) }
      jump(to: reject)
      place(passed)
      load(.byte, atX: 0)
      store(to: next)
      load(.byte, atX: 1)
      shiftLeft(3)
      add(8)
      addX()
      moveToX()
      load(from: next)
    }
    jump(if: .equal, UInt32(IPPROTO_TCP), otherwise: reject)
    place(found)
  }
}
