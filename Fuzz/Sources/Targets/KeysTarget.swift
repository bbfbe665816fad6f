// The text of a key file.

import Crypto
import Engine
import Samples
import Wire

extension FuzzTarget {
  static let keys = FuzzTarget(name: "keys") { input in
    if let key = SecretKey(base64: input) {
      require(SecretKey(base64: Array(key.base64.utf8).rawSpan) == key, "a key reads as written")
    }
    guard let keys = try? KeyFileText.keys(in: input) else { return }
    require((1...KeyFileText.keyLimit).contains(keys.count), "there are keys")
    require(Set(keys.map(\.name)).count == keys.count, "every name is one key's")
    let text = keys.map { "\($0.name) \($0.key.base64)\n" }.joined()
    require((try? KeyFileText.keys(in: Array(text.utf8).rawSpan)) == keys, "keys read as written")
  } seeds: {
    // The example of KeyFileText, and what may be wrong with it.
    let one = "5GDSyHdDdXIbG4UGE2vGiqoJHZLTkf6xk7xHmvAkzTk="
    let other = "pXJx0hCA3wLmKZlQ0oZQnCqp1hIZl1CePDZsYvYVJ1E="
    let texts = [
      "key": one, "line": one + "\n",
      "names": "# clients\nlaptop   \(one)\nphone\t\(other)   # the new one\r\n",
      "same-name": "a \(one)\na \(other)", "same-key": "a \(one)\nb \(one)",
      "nameless": "\(one)\n\(other)", "words": "a b \(one)", "no-key": "# nothing\n\n",
      "url-alphabet": one.replacing("f", with: "_"), "no-padding": String(one.dropLast()),
    ]
    return texts.mapValues { Array($0.utf8) }
  }
}
