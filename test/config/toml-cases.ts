/**
 * The rules of TOML 1.0.0 as small documents: what each valid one decodes to, and where and why each invalid one is
 * refused.
 */

type Scalar = string | number | bigint | boolean;

/**
 * A decoded document to compare: tables as Maps, floats and dates told apart from integers and texts, integers beyond
 * 2^53 as bigints.
 */
export type Plain = Scalar | TaggedFloat | TaggedDate | readonly Plain[] | ReadonlyMap<string, Plain>;

class TaggedFloat {
  readonly float: number;
  constructor(float: number) {
    this.float = float;
  }
}

class TaggedDate {
  readonly kind: string;
  readonly text: string;
  constructor(kind: string, text: string) {
    this.kind = kind;
    this.text = text;
  }
}

export const float = (value: number): Plain => new TaggedFloat(value);
export const date = (kind: string, text: string): Plain => new TaggedDate(kind, text);

/** As the cases below write it: tables as objects. */
type Written = Plain | readonly Written[] | { readonly [key: string]: Written };

export interface ValidCase {
  readonly rule: string;
  readonly toml: string;
  readonly value: Plain;
}

export interface InvalidCase {
  readonly rule: string;
  readonly toml: string;
  readonly line: number;
  readonly column: number;
  readonly reason: RegExp;
}

/** Objects become Maps, so that a key such as __proto__ compares as data. */
function toPlain(written: Written): Plain {
  if (isArray(written)) return written.map(toPlain);
  if (
    typeof written !== "object" ||
    written instanceof TaggedFloat ||
    written instanceof TaggedDate ||
    written instanceof Map
  )
    return written;
  return new Map(Object.entries(written).map(([key, inner]) => [key, toPlain(inner)]));
}

const isArray = (written: Written): written is readonly Written[] => Array.isArray(written);
const valid = (rule: string, toml: string, value: Written): ValidCase => ({ rule, toml, value: toPlain(value) });
const invalid = (rule: string, toml: string, line: number, column: number, reason: RegExp): InvalidCase => ({
  rule,
  toml,
  line,
  column,
  reason,
});

const DEEPEST = `a = ${"[".repeat(127)}${"]".repeat(127)}`;
const deepest = (): Plain => Array.from({ length: 126 }).reduce<Plain>((inner) => [inner], []);
const deepestTable = (): Written => Array.from({ length: 128 }).reduce<Written>((inner) => ({ a: inner }), 1);

export const VALID: readonly ValidCase[] = [
  valid("an empty document is an empty table", "", {}),
  valid("blanks and newlines of both kinds are nothing", " \t\n\r\n \n", {}),
  valid("a byte order mark may stand at the start", "\ufeffa = 1", { a: 1 }),
  valid(
    "a comment ends with its line and may hold any character but controls",
    "# é \t 日本 \u0080\na = 1 # b = 2\n#",
    { a: 1 },
  ),
  valid("a comment needs no blank before it", "a = 1#x\n[t]#y\n", { a: 1, t: {} }),
  valid("the last line needs no newline", "a = 1", { a: 1 }),
  valid("CRLF ends a line", "a = 1\r\nb = 2\r\n", { a: 1, b: 2 }),

  valid("bare keys are letters, digits, underscores and dashes", "a_B-9 = 1\n-_- = 2\n1234 = 3", {
    "a_B-9": 1,
    "-_-": 2,
    1234: 3,
  }),
  valid("a key may look like a value", "true = 1\ninf = 2\n1979-05-27 = 3\n3.14 = 4", {
    true: 1,
    inf: 2,
    "1979-05-27": 3,
    3: { 14: 4 },
  }),
  valid("quoted keys hold what they please", '"a.b" = 1\n\'c "d"\' = 2\n"\\u00e9\\n" = 3', {
    "a.b": 1,
    'c "d"': 2,
    "é\n": 3,
  }),
  valid("a key may be empty when quoted", "\"\" = 1\n[a]\n'' = 2", { "": 1, a: { "": 2 } }),
  valid("dotted keys make tables", "a.b.c = 1\na.b.d = 2\na.e = 3", { a: { b: { c: 1, d: 2 }, e: 3 } }),
  valid("blanks may surround dots and the equals sign", 'a . "b"\t.c=1', { a: { b: { c: 1 } } }),
  valid("dotted keys may come in any order", "a.x = 1\nb.x = 2\na.y = 3", { a: { x: 1, y: 3 }, b: { x: 2 } }),
  valid("case tells keys apart", "a = 1\nA = 2", { a: 1, A: 2 }),
  valid(
    "__proto__, constructor and toString are keys as any other",
    "__proto__ = 1\nconstructor.x = 2\n[toString.__proto__]\ny = 3",
    {
      ["__proto__"]: 1,
      constructor: { x: 2 },
      toString: { ["__proto__"]: { y: 3 } },
    },
  ),

  valid("basic strings know their escapes", String.raw`a = "\b\t\n\f\r\"\\\u00E9\U0001F600"`, {
    a: '\b\t\n\f\r"\\é😀',
  }),
  valid(
    "escapes reach the characters around the surrogates, and the last one",
    String.raw`a = "\uD7FF\uE000\U0010FFFF"`,
    { a: "\ud7ff\ue000\u{10ffff}" },
  ),
  valid("a basic string may hold a tab and any Unicode", 'a = "\t日本 😀 \u0080"', { a: "\t日本 😀 \u0080" }),
  valid("a number sign in a string is no comment", "a = \"# b\" # c\nb = '#'", { a: "# b", b: "#" }),
  valid("literal strings have no escapes", String.raw`a = 'C:\new\"x"'`, { a: String.raw`C:\new\"x"` }),
  valid("strings may be empty", "a = \"\"\nb = ''\nc = \"\"\"\"\"\"\nd = ''''''", { a: "", b: "", c: "", d: "" }),
  valid("a multi-line string loses the newline right after its opening, no other", 'a = """\n\nx\n"""', { a: "\nx\n" }),
  valid("a multi-line string keeps CRLF as it stands", 'a = """\r\nx\r\ny"""', { a: "x\r\ny" }),
  valid("a backslash at the end of a line eats blanks and newlines", 'a = """x \\\n\n \t \r\n  y\\ \t\n"""', {
    a: "x y",
  }),
  valid("one and two quotes may stand in a multi-line string", 'a = """"x" ""y"" """', { a: '"x" ""y"" ' }),
  valid(
    "one and two quotes may stand right before the closing three",
    'a = """x""""\nb = """x"""""\nc = \'\'\'\'x\'\'\'\'\'',
    { a: 'x"', b: 'x""', c: "'x''" },
  ),
  valid("an escaped quote keeps a multi-line string open", 'a = """x\\""""', { a: 'x"' }),
  valid("a literal multi-line string keeps backslashes and newlines", "a = '''\n\\n \\\n\"'''", { a: '\\n \\\n"' }),

  valid("integers bear signs and underscores", "a = 0\nb = +17\nc = -17\nd = 1_000_000\ne = +0\nf = -0", {
    a: 0,
    b: 17,
    c: -17,
    d: 1000000,
    e: 0,
    f: 0,
  }),
  valid("hex, octal and binary, with leading zeros", "a = 0xDead_beef\nb = 0o0755\nc = 0b0_1\nd = 0x0", {
    a: 0xdeadbeef,
    b: 0o755,
    c: 1,
    d: 0,
  }),
  valid("a safe integer is a number, up to the last", "a = 9007199254740991\nb = -9007199254740991", {
    a: 9007199254740991,
    b: -9007199254740991,
  }),
  valid(
    "an integer beyond the safe ones is exact",
    "a = 9007199254740993\nb = -9007199254740993\nc = 9007199254740992",
    { a: 9007199254740993n, b: -9007199254740993n, c: 9007199254740992n },
  ),
  valid("64 bits are the limit", "a = 9223372036854775807\nb = -9223372036854775808\nc = 0x7fffffffffffffff", {
    a: 2n ** 63n - 1n,
    b: -(2n ** 63n),
    c: 2n ** 63n - 1n,
  }),
  valid("leading zeros do not count against 64 bits", `a = 0x${"0".repeat(300)}1`, { a: 1 }),
  valid(
    "floats have a fraction, an exponent, or both",
    "a = 1.5\nb = -0.01\nc = 5e+2\nd = 1E06\ne = 6.5e-1\nf = 1_0.0_1",
    { a: float(1.5), b: float(-0.01), c: float(500), d: float(1e6), e: float(0.65), f: float(10.01) },
  ),
  valid("a float of a whole value is a float", "a = 1.0\nb = 0e0\nc = -0.0", {
    a: float(1),
    b: float(0),
    c: float(-0),
  }),
  valid("an exponent may have leading zeros", "a = 1e007", { a: float(1e7) }),
  valid("infinity and not-a-number bear signs", "a = inf\nb = +inf\nc = -inf\nd = nan\ne = +nan\nf = -nan", {
    a: float(Infinity),
    b: float(Infinity),
    c: float(-Infinity),
    d: float(NaN),
    e: float(NaN),
    f: float(NaN),
  }),
  valid("booleans are lower case", "a = true\nb = false", { a: true, b: false }),

  valid(
    "a date-time with an offset",
    "a = 1979-05-27T07:32:00Z\nb = 1979-05-27t00:32:00.999999-07:00\nc = 1979-05-27 07:32:00z",
    {
      a: date("offset-date-time", "1979-05-27T07:32:00Z"),
      b: date("offset-date-time", "1979-05-27T00:32:00.999999-07:00"),
      c: date("offset-date-time", "1979-05-27T07:32:00Z"),
    },
  ),
  valid("a local date-time, date and time", "a = 1979-05-27T07:32:00.5\nb = 1979-05-27\nc = 07:32:00.25", {
    a: date("local-date-time", "1979-05-27T07:32:00.5"),
    b: date("local-date", "1979-05-27"),
    c: date("local-time", "07:32:00.25"),
  }),
  valid("a date may be followed by a blank and a comment", "a = 1979-05-27 # 07:32:00\nb = [1979-05-27 ,07:32:00]", {
    a: date("local-date", "1979-05-27"),
    b: [date("local-date", "1979-05-27"), date("local-time", "07:32:00")],
  }),
  valid("29 February is there in leap years", "a = 2000-02-29\nb = 2024-02-29", {
    a: date("local-date", "2000-02-29"),
    b: date("local-date", "2024-02-29"),
  }),
  valid("a leap second is a time", "a = 23:59:60", { a: date("local-time", "23:59:60") }),

  valid("arrays mix types and may end with a comma", 'a = [1, "x", 1.0, [true], {b = 2},]', {
    a: [1, "x", float(1), [true], { b: 2 }],
  }),
  valid("arrays may span lines and hold comments", "a = [ # one\n  1, # two\n\n  2 # three\n  , # four\n]", {
    a: [1, 2],
  }),
  valid("arrays may be empty, also across lines", "a = []\nb = [\n]\nc = [[],[ ]]", { a: [], b: [], c: [[], []] }),
  valid("127 arrays within each other under a key are not too deep", DEEPEST, { a: deepest() }),

  valid(
    "128 inline tables within each other are not too deep",
    `${"a={".repeat(127)}a=1${"}".repeat(127)}`,
    deepestTable(),
  ),
  valid("inline tables", "a = { \t}\nb = { x = 1, y = { z = 2 } }\nc = {x=1,y=2}", {
    a: {},
    b: { x: 1, y: { z: 2 } },
    c: { x: 1, y: 2 },
  }),
  valid("inline tables take dotted keys", 'a = { b.c = 1, b.d = 2, "e".f = 3 }', {
    a: { b: { c: 1, d: 2 }, e: { f: 3 } },
  }),
  valid("a value in an inline table may itself span lines", 'a = { b = [\n1,\n2\n], c = """\nx\ny""" }', {
    a: { b: [1, 2], c: "x\ny" },
  }),

  valid("headers open tables", '[a]\nx = 1\n[b.c]\ny = 2\n[ d . "e.f" ]', {
    a: { x: 1 },
    b: { c: { y: 2 } },
    d: { "e.f": {} },
  }),
  valid("a parent may be defined after its child", "[a.b]\nx = 1\n[a]\ny = 2", { a: { b: { x: 1 }, y: 2 } }),
  valid("a header may add below a table made by dotted keys", "[a]\nb.c = 1\n[a.b.d]\nx = 2", {
    a: { b: { c: 1, d: { x: 2 } } },
  }),
  valid("keys before the first header are the root's", "a = 1\n[b]\nc = 2", { a: 1, b: { c: 2 } }),
  valid("tables may come in any order", "[a.x]\n[b]\n[a.y]", { a: { x: {}, y: {} }, b: {} }),
  valid("arrays of tables grow with each header", "[[a]]\nx = 1\n[[a]]\n[[a]]\nx = 3", { a: [{ x: 1 }, {}, { x: 3 }] }),
  valid(
    "a header below an array of tables means its last element",
    "[[a]]\n[a.b]\nx = 1\n[[a.c]]\n[[a]]\n[a.b]\nx = 2\n[[a.c]]\n[[a.c]]",
    {
      a: [
        { b: { x: 1 }, c: [{}] },
        { b: { x: 2 }, c: [{}, {}] },
      ],
    },
  ),
  valid("an array of tables may lie under an implied table that is defined later", "[[a.b]]\nx = 1\n[a]\ny = 2", {
    a: { b: [{ x: 1 }], y: 2 },
  }),
  valid("an array of tables may lie under a table made by dotted keys", "a.b = 1\n[[a.c]]\nx = 2", {
    a: { b: 1, c: [{ x: 2 }] },
  }),
];

export const INVALID: readonly InvalidCase[] = [
  invalid("a byte order mark elsewhere", "a = 1\n\ufeffb = 2", 2, 1, /expected a key, found the character U\+FEFF/),
  invalid("a control character in a comment", "a = 1 # x\u0001y", 1, 10, /U\+0001/),
  invalid("a delete character in a comment", "# \u007f", 1, 3, /U\+007F/),
  invalid("a carriage return alone", "a = 1\rb = 2", 1, 6, /carriage return/),
  invalid("a carriage return alone in a comment", "# x\ry", 1, 4, /carriage return/),
  invalid("a form feed as a blank", "\fa = 1", 1, 1, /U\+000C/),
  invalid("a non-breaking space as a blank", "a =\u00a01", 1, 4, /U\+00A0/),
  invalid("half a surrogate pair", 'a = "\ud800"', 1, 6, /surrogate/),
  invalid("columns count characters, not UTF-16 units", 'a = "😀" x', 1, 9, /end of the line after a value, found "x"/),

  invalid("a key without a value", "a =", 1, 4, /expected a value, found the end of the file/),
  invalid("a key without an equals sign", "a\nb = 1", 1, 2, /expected "=" after a key, found the end of the line/),
  invalid("a value without a key", "= 1", 1, 1, /expected a key, found "="/),
  invalid("an equals sign on the next line", "a\n= 1", 1, 2, /"="/),
  invalid("a value on the next line", "a =\n1", 1, 4, /expected a value, found the end of the line/),
  invalid("two assignments on a line", "a = 1 b = 2", 1, 7, /end of the line after a value, found "b"/),
  invalid("two equals signs", "a == 1", 1, 4, /expected a value, found "="/),
  invalid("a bare key of other letters", "é = 1", 1, 1, /expected a key/),
  invalid("a bare key with a blank in it", "a b = 1", 1, 3, /"="/),
  invalid("a dotted key with nothing after its dot", "a. = 1", 1, 4, /expected a key/),
  invalid("a dotted key with nothing before its dot", ".a = 1", 1, 1, /expected a key/),
  invalid("a dotted key with two dots", "a..b = 1", 1, 3, /expected a key/),
  invalid("a multi-line string as a key", '"""a""" = 1', 1, 3, /"=" after a key, found """/),
  invalid("a key that ends with its line", '"a\n" = 1', 1, 1, /same line/),
  invalid("the same key twice", "a = 1\n\na = 2", 3, 1, /"a" is defined already on line 1/),
  invalid("the same key twice, quoted once", 'a = 1\n"a" = 2', 2, 1, /defined already/),
  invalid(
    "a dotted key through a value",
    "a = 1\na.b = 2",
    2,
    1,
    /"a" is defined on line 1 as something that cannot be added to/,
  ),
  invalid("a value over a dotted table", "a.b = 1\na = 2", 2, 1, /"a" is defined already on line 1/),
  invalid("the same dotted key twice", "a.b = 1\na.b = 2", 2, 1, /"b" is defined already on line 1/),
  invalid("__proto__ twice", "__proto__ = 1\n__proto__ = 2", 2, 1, /defined already/),

  invalid("a string that ends with its line", 'a = "x\nb = 1', 1, 5, /must end with " on the same line/),
  invalid("a string that ends with the file", "a = 'x", 1, 5, /must end with ' on the same line/),
  invalid("a multi-line string that ends with the file", 'a = 1\nb = """x\n""', 2, 5, /must end with """/),
  invalid(
    "six quotes and more at the end of a multi-line string",
    'a = """x""""""',
    1,
    14,
    /end of the line after a value/,
  ),
  invalid("an escape that TOML does not know", String.raw`a = "\d"`, 1, 6, /backslash/),
  invalid("an escaped blank in a one-line string", String.raw`a = "\ x"`, 1, 6, /backslash/),
  invalid("an escaped blank within a line of a multi-line string", 'a = """x \\ y"""', 1, 10, /backslash/),
  invalid("a backslash at the end of a line of a one-line string", 'a = "x\\\ny"', 1, 7, /backslash/),
  invalid("a short Unicode escape", String.raw`a = "\u00e"`, 1, 6, /backslash/),
  invalid("a Unicode escape of half a surrogate pair", String.raw`a = "\uD800"`, 1, 6, /no Unicode character/),
  invalid("a Unicode escape of the last half", String.raw`a = "\uDFFF"`, 1, 6, /no Unicode character/),
  invalid("a Unicode escape beyond the last character", String.raw`a = "\U00110000"`, 1, 6, /no Unicode character/),
  invalid("a NUL in a string", 'a = "x\u0000"', 1, 7, /U\+0000 must be written as an escape/),
  invalid("a control character in a literal string", "a = 'x\u001f'", 1, 7, /U\+001F/),
  invalid("a delete character in a multi-line string", 'a = """\nx\u007f"""', 2, 2, /U\+007F/),
  invalid("a carriage return alone in a multi-line string", "a = '''x\ry'''", 1, 9, /carriage return/),
  invalid("a text without quotes", "a = hello", 1, 5, /a text in quotes/),
  invalid("text after a string", 'a = "x"y', 1, 8, /end of the line after a value/),

  invalid("a leading zero", "a = 007", 1, 5, /not a number/),
  invalid("a signed leading zero", "a = -01", 1, 5, /not a number/),
  invalid("two signs", "a = +-1", 1, 5, /not a number/),
  invalid("an underscore at the end", "a = 1_", 1, 5, /underscore/),
  invalid("an underscore at the start of digits", "a = +_1", 1, 5, /underscore/),
  invalid("two underscores", "a = 1__0", 1, 5, /underscore/),
  invalid("an underscore after a prefix", "a = 0x_1", 1, 5, /underscore/),
  invalid("an underscore within a prefix", "a = 0_x1", 1, 5, /underscore/),
  invalid("an underscore before a prefix", "a = _0b1", 1, 5, /underscore/),
  invalid("two underscores in hex", "a = 0xa__b", 1, 5, /underscore/),
  invalid("an underscore beside a fraction's dot", "a = 1_.0", 1, 5, /underscore/),
  invalid("an underscore beside an exponent", "a = 1e_5", 1, 5, /underscore/),
  invalid("a signed hex number", "a = -0x1", 1, 5, /not a number/),
  invalid("a prefix in upper case", "a = 0XFF", 1, 5, /not a number/),
  invalid("a digit of another base", "a = 0o8", 1, 5, /not a number/),
  invalid("a prefix without digits", "a = 0x", 1, 5, /not a number/),
  invalid("one more than 64 bits", "a = 9223372036854775808", 1, 5, /64 bits/),
  invalid("one less than 64 bits", "a = -9223372036854775809", 1, 5, /64 bits/),
  invalid("hex that sets the sign", "a = 0x8000000000000000", 1, 5, /64 bits/),
  invalid("an integer of a thousand digits", `a = ${"9".repeat(1000)}`, 1, 5, /64 bits/),
  invalid("a float without digits before its dot", "a = .5", 1, 5, /not a number/),
  invalid("a float without digits after its dot", "a = 5.", 1, 5, /not a number/),
  invalid("a float with nothing between dot and exponent", "a = 5.e1", 1, 5, /not a number/),
  invalid("a float with an empty exponent", "a = 5e", 1, 5, /not a number/),
  invalid("a float with a leading zero", "a = 03.14", 1, 5, /not a number/),
  invalid("a float that 64 bits do not hold", "a = 1e400", 1, 5, /does not fit a 64-bit float/),
  invalid("infinity in upper case", "a = Inf", 1, 5, /a value is/),
  invalid("a boolean in upper case", "a = True", 1, 5, /a value is/),
  invalid("digits of another script", "a = ١", 1, 5, /expected a value/),

  invalid("30 February", "a = 2024-02-30", 1, 5, /no such day/),
  invalid("29 February of 1900", "a = 1900-02-29", 1, 5, /no such day/),
  invalid("31 April", "a = 2024-04-31", 1, 5, /no such day/),
  invalid("month 13", "a = 2024-13-01", 1, 5, /no such day/),
  invalid("month 0", "a = 2024-00-01", 1, 5, /no such day/),
  invalid("day 0", "a = 2024-01-00T00:00:00Z", 1, 5, /no such day/),
  invalid("hour 24", "a = 24:00:00", 1, 5, /no such time/),
  invalid("minute 60", "a = 2024-01-01T00:60:00", 1, 5, /no such time/),
  invalid("second 61", "a = 00:00:61", 1, 5, /no such time/),
  invalid("an offset of 24 hours", "a = 2024-01-01T00:00:00+24:00", 1, 5, /no such offset/),
  invalid("an offset of 60 minutes", "a = 2024-01-01T00:00:00-00:60", 1, 5, /no such offset/),
  invalid("an offset without minutes", "a = 2024-01-01T00:00:00+01", 1, 5, /a date is written/),
  invalid("a time without seconds", "a = 07:32", 1, 5, /a date is written/),
  invalid("a fraction without digits", "a = 07:32:00.", 1, 5, /a date is written/),
  invalid("a local time with an offset", "a = 07:32:00Z", 1, 5, /a date is written/),
  invalid("a date with an offset and no time", "a = 2024-01-01Z", 1, 5, /a date is written/),
  invalid("a date that ends with T", "a = 2024-01-01T", 1, 5, /a date is written/),
  invalid("date and time with nothing between", "a = 2024-01-0100:00:00", 1, 5, /a date is written/),
  invalid("date and time with two blanks between", "a = 2024-01-01  00:00:00", 1, 17, /end of the line after a value/),
  invalid("a day of one digit", "a = 2024-01-1", 1, 5, /a date is written/),
  invalid("a year of five digits", "a = 10000-01-01", 1, 5, /not a number or a date/),

  invalid("an array that is not closed", "a = [1,\n2\n", 1, 5, /not closed by "\]"/),
  invalid("an array that the file ends in", "a = [", 1, 5, /not closed by "\]"/),
  invalid("an array without commas", "a = [1 2]", 1, 8, /expected "," or "\]"/),
  invalid("an array of commas", "a = [1,,2]", 1, 8, /expected a value, found ","/),
  invalid("an array that begins with a comma", "a = [,1]", 1, 6, /expected a value, found ","/),
  invalid("a closing bracket too many", "a = [1]]", 1, 8, /end of the line after a value, found "\]"/),
  invalid("129 levels", `a = ${"[".repeat(128)}`, 1, 132, /deeper than 128/),

  invalid("an inline table across lines", "a = { b = 1,\nc = 2 }", 1, 13, /expected a key, found the end of the line/),
  invalid("an inline table with a newline before its end", "a = { b = 1\n}", 1, 12, /must stand on one line/),
  invalid("an inline table with a comma at its end", "a = { b = 1, }", 1, 14, /bears no comma/),
  invalid("an inline table with commas only", "a = {,}", 1, 6, /expected a key/),
  invalid("an inline table without commas", "a = {b = 1 c = 2}", 1, 12, /expected "," or "}"/),
  invalid("the same key twice in an inline table", "a = {b = 1, b = 2}", 1, 13, /"b" is defined already on line 1/),
  invalid("a dotted key into an inline table", "a = {}\na.b = 1", 2, 1, /cannot be added to/),
  invalid("a header into an inline table", "a = { b = {} }\n[a.b.c]", 2, 1, /cannot be added to/),
  invalid("a header over an inline table", "a = {}\n[a]", 2, 1, /defined already/),
  invalid(
    "a dotted key into an inline table within another",
    "a = { b = {c = 1}, b.d = 2 }",
    1,
    20,
    /cannot be added to/,
  ),

  invalid("an empty header", "[]", 1, 2, /expected a key/),
  invalid("a header that is not closed", "[a\nb = 1", 1, 3, /expected "\]", found the end of the line/),
  invalid("text after a header", "[a] b = 1", 1, 5, /end of the line after a table header/),
  invalid("a header of half a double bracket", "[[a]", 1, 4, /expected "\]\]"/),
  invalid("a double bracket with a blank in it", "[ [a]]", 1, 3, /expected a key, found "\["/),
  invalid("a double bracket closed with a blank", "[[a] ]", 1, 4, /expected "\]\]"/),
  invalid("the same header twice", "[a]\n[b]\n[a]", 3, 1, /"a" is defined already on line 1/),
  invalid("the same header twice, implied before", "[a.b]\n[a]\n[a]", 3, 1, /defined already/),
  invalid("a header over a value", "a = 1\n[a]", 2, 1, /defined already/),
  invalid(
    "a header through a value",
    "a = 1\n[a.b]",
    2,
    1,
    /"a" is defined on line 1 as something that cannot be added to/,
  ),
  invalid("a header over a table of dotted keys", "[a]\nb.c = 1\n[a.b]", 3, 1, /"b" is defined already on line 2/),
  invalid("a dotted key into a table of a header", "[a.b]\n[a]\nb.c = 1", 3, 1, /cannot be added to/),
  invalid("a dotted key into an implied table", "[a.b.c]\n[a]\nb.x = 1", 3, 1, /cannot be added to/),
  invalid("a header over an array of tables", "[[a]]\n[a]", 2, 1, /defined already/),
  invalid("an array of tables over a table", "[a]\n[[a]]", 2, 1, /defined already/),
  invalid("an array of tables over an implied table", "[a.b]\n[[a]]", 2, 1, /defined already/),
  invalid("an array of tables onto a written array", "a = [{}]\n[[a]]", 2, 1, /defined already/),
  invalid("a header into an empty array", "a = []\n[a.b]", 2, 1, /cannot be added to/),
  invalid("a header into a written array", "a = [{}]\n[a.b]", 2, 1, /cannot be added to/),
  invalid("a dotted key into an array of tables", "[[a.b]]\n[a]\nb.c = 1", 3, 1, /cannot be added to/),
  invalid("129 inline tables within each other", "a={".repeat(129), 1, 385, /deeper than 128/),
  invalid("a header of 129 parts", `[${"a.".repeat(128)}a]`, 1, 1, /deeper than 128/),
  invalid("a dotted key of 129 parts", `${"a.".repeat(128)}a = 1`, 1, 1, /deeper than 128/),
  invalid(
    "levels of header, key and arrays together beyond 128",
    `[${"a.".repeat(59)}a]\n${"b.".repeat(59)}b = ${"[".repeat(9)}`,
    2,
    131,
    /deeper than 128/,
  ),
];
