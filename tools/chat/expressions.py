"""Small templates, each on one point of the language, and the context that they all share."""

CONTEXT = {
    "s": "Hello World",
    "empty": "",
    "uni": "Straße ΑΣ naïve ﬁn 日本 🚣",
    "spaced": "  \t padded text \n",
    "lines": "one\ntwo\r\nthree\n\nfive",
    "n": 7,
    "neg": -7,
    "zero": 0,
    "f": 2.5,
    "big": 1e22,
    "small": 1.5e-7,
    "t": True,
    "no": False,
    "nil": None,
    "l": [3, 1, 2],
    "mixed": ["b", "A", "c", "B"],
    "nested": [[1, 2], [3, [4, 5]], []],
    "d": {"b": 1, "a": "two", "items": "shadow", "c": [1, {"x": None}]},
    "numbers": {"one": 1, "two": 2.0},
    "users": [
        {"name": "Eve", "age": 30, "tags": ["x"], "address": {"city": "Oslo"}},
        {"name": "adam", "age": 25, "tags": [], "address": {"city": "Bern"}},
        {"name": "Bob", "age": 30, "address": {"city": "oslo"}},
    ],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi <there> & 'you'"},
        {"role": "assistant", "content": "Hello!", "tool_calls": []},
    ],
}

_EXPRESSIONS = r"""
1 + 2 * 3
(1 + 2) * 3
7 / 2
8 / 2
7 // 2
-7 // 2
7 % 3
-7 % 3
7 % -3
7.5 % 2
-7.5 % 2
7.5 // 2
-7.5 // 2
2 ** 10
2 ** -1
2 ** 0.5
-2 ** 2
2 ** 3 ** 2
1 / 0
1 // 0
1 % 0
1.0 / 0
9223372036854775807
9223372036854775806 + 1
0x1F
0b101
0o17
1_000
1_000.5
1e3
1.5e-3
1e16
1e15
123456789012345680.0
0.1 + 0.2
1.0
100000000000000000000.0
0.0001
0.00001
-0.0
5.0 // 0.3
+5
-n
-f
-t
- -n
not t
not not n
true and false or true
none or 'x'
'' or 0 or []
'a' and 'b'
n and no
1 < 2 < 3
1 < 3 < 2
1 == 1.0
1 == true
true + true
'a' < 'b'
'a' < 'B'
[1, 2] < [1, 3]
[1, 'a'] < [2, 1]
(1, 2) == [1, 2]
[1, 2] == [1, 2]
{'a': 1} == {'a': 1.0}
none == false
'1' == 1
1 < 'a'
none < 1
missing < 1
missing == missing
missing == none
missing == other_missing
1 in [1, 2]
1 not in [1, 2]
'ell' in 'Hello'
'x' not in 'Hello'
'b' in d
'zzz' in d
1 in 'abc'
1 in 5
2 in range(3)
'a' in missing
none in [none]
true in [1]
[1] in [[1], 2]
3 in d
'a' ~ 1 ~ none ~ true ~ 2.0
'a' + 'b'
'a' + 1
1 + 'a'
[1] + [2]
(1,) + (2,)
[1] + (2,)
'ab' * 3
3 * 'ab'
'ab' * -1
[1, 2] * 2
'ab' * 1.5
'a' 'b' "c"
'it''s'
'tab\there'
'new\nline'
'quote\'s'
"dq \" sq '"
'\x41\u00e9\U0001F6A3'
'back\\slash'
'\d stays'
'\101'
'é'
1 if true else 2
1 if false else 2
1 if false
(1 if false) is defined
1 if t else 2 if no else 3
'a' if no else 'b' if no else 'c'
[1, 2, 3]
[1, [2, 'x'], (3,), (), {}]
{'a': 1, 'b': [1, 2]}
{1: 'one', 'two': 2, none: 3, true: 4}
{[1]: 2}
(1, 2)
(1,)
()
(1)
[1, 2,]
{'a': 1,}
{'a': 1, 'a': 2}
['it''s', "q\"s", "both ' and \""]
['\n\t\\', 'é', '\x00\x7f', '\u200b', '\U0001F6A3']
[1.0, 1e100, true, none, missing]
s
s[0]
s[-1]
s[100]
s[1:4]
s[:5]
s[6:]
s[::-1]
s[::2]
s[-5:]
s[5:2]
s[1:8:3]
s[8:1:-2]
s[::0]
s['a']
uni[2]
uni[-1]
uni[4:7]
uni[::-1]
uni | length
l[0]
l[-1]
l[5]
l[5] is defined
l[1:]
l[::-1]
l[:-1]
l[10:]
l[true]
l['0']
l[none]
l[1.0]
l.0
l[0:100000000]
(1, 2, 3)[::-1]
(1, 2, 3)[1:]
range(5)[2]
range(5)[-1]
range(5)[7]
range(5) | list
range(2, 8) | list
range(8, 2, -2) | list
range(3)
range(1, 9, 3)
range(0)| list
range(1, 2, 0)
range('a')
range(1000000)
range()
d.b
d['b']
d.missing
d['missing'] is defined
d.items
d.items()
d['items']
d.keys()
d.values() | list
d.keys() | list
d.items() | list
d.get('b')
d.get('zzz')
d.get('zzz', 'fallback')
d.get([1])
d.c[1].x
d.c[1]['x'] is none
d.missing.deeper
d[none] is defined
d | length
d | list
d
d.copy()
d.pop('b')
d.update({'z': 1})
d.pop is defined
l.append(4)
l.append is defined
l.sort()
d.__class__
d.__class__ is defined
s.__class__.__mro__
s._private is defined
nil.foo
nil.foo is defined
nil.foo.bar
n.foo is defined
missing
missing.foo
missing['foo']
missing()
missing + 1
1 + missing
missing ~ 'x'
missing | length
missing | upper
missing | default('x')
missing | d('x')
missing.foo | default('x')
missing | list
missing | join(',')
missing | first is defined
missing | int
missing | string
missing | trim
missing | sort
missing | sum
missing | items | list
missing | tojson
missing | replace('a', 'b')
missing | reverse | list
missing | indent
missing[1:]
-missing
not missing
[missing]
(missing, 1)
{'a': missing}
missing is defined
missing is undefined
missing is none
missing is iterable
missing is sequence
missing is string
missing is mapping
missing is callable
'' | default('x')
'' | default('x', true)
none | default('x')
none | default('x', boolean=true)
0 | d(default_value='zero', boolean=true)
s is defined
s is string
n is string
n is number
f is number
t is number
n is integer
f is integer
t is integer
f is float
n is float
t is boolean
n is boolean
t is true
1 is true
no is false
0 is false
nil is none
n is not none
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
n is sequence
range(3) is sequence
l is iterable
n is iterable
s is iterable
nil is iterable
(l | map('string')) is iterable
(l | map('string')) is sequence
d.items() is sequence
n is odd
n is even
neg is odd
f is odd
'a' is odd
9 is divisibleby 3
9 is divisibleby(4)
9 is divisibleby 0
n is eq 7
n is equalto(7)
n is sameas 7
nil is sameas none
t is sameas true
1 is sameas true
n is gt 5
n is greaterthan 7
n is ge 7
n is lt 8
n is le 6
n is ne 7
n is in [7, 8]
n is not in [7, 8]
s is lower
s | lower is lower
s | upper is upper
'' is upper
range is callable
s is callable
s.upper is callable
'upper' is filter
'nope' is filter
'odd' is test
'nope' is test
s is escaped
n is nope
s | nope
s | nope if no else 'fine'
'fine' if t else s | nope
s is defined and n is defined
s is defined or n is defined
n is odd and not n is even
n is not odd
s is string is true
s.upper()
s.lower()
s.title()
s.capitalize()
s.swapcase()
uni.upper()
uni.lower()
uni.title()
uni.capitalize()
'ǆabc'.title()
'İstanbul'.lower()
'ŒUVRE'.lower()
'ΟΔΥΣΣΕΥΣ ΣΑΣ Σ'.lower()
s.strip()
spaced.strip()
spaced.lstrip()
spaced.rstrip()
'xxhixx'.strip('x')
'xyhiyx'.lstrip('xy')
'xyhiyx'.rstrip('yx')
'éaé'.strip('é')
s.strip(1)
s.strip('a', 'b')
s.split()
s.split(' ')
'a,b,,c'.split(',')
'a,b,,c'.split(',', 1)
'a,b,,c'.split(',', maxsplit=2)
'a,b,,c'.split(sep=',')
'  a  b  c  '.split()
'  a  b  c  '.split(none, 1)
'  a  b  c  '.rsplit(none, 1)
'  a  b  c  '.rsplit()
'a,b,c'.rsplit(',', 1)
'abc'.split('')
''.split()
''.split(',')
'</think>x</think>y'.split('</think>')[-1]
'a</think>b'.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n')
lines.splitlines()
lines.splitlines(true)
'a\x0bb\x1cc\u2028d'.splitlines()
s.startswith('Hell')
s.startswith('hell')
s.startswith(('x', 'H'))
s.startswith('lo', 3)
s.startswith(1)
s.startswith('')
s.endswith('ld')
s.endswith(('x', 'd'))
s.endswith('Wor', 0, 9)
s.replace('l', 'L')
s.replace('l', 'L', 1)
'ab'.replace('', '-')
'ab'.replace('', '-', 2)
''.replace('', 'x')
'aaa'.replace('aa', 'b')
s.replace('x', 1)
s.find('o')
s.find('o', 5)
s.find('zz')
s.rfind('o')
uni.find('ﬁ')
s.index('W')
s.index('zz')
s.count('l')
s.count('')
'aaaa'.count('aa')
s.join(['a', 'b'])
', '.join(mixed)
', '.join([1, 2])
', '.join('abc')
'-'.join(d)
''.join([])
s.partition(' ')
s.partition('zz')
'a.b.c'.rpartition('.')
s.removeprefix('Hello')
s.removesuffix('World')
'7'.zfill(3)
'-7'.zfill(4)
'ab'.ljust(5) ~ '|'
'ab'.rjust(5, '*')
'ab'.center(5, '*')
'abc'.center(6, '*')
'ab'.center(1)
'abc'.isalpha()
'ab1'.isalnum()
'123'.isdigit()
''.isdigit()
' \t'.isspace()
'ABC'.isupper()
'abc'.islower()
'Abc Def'.istitle()
'a_1'.isidentifier()
'é'.isascii()
'a\n'.isprintable()
'{} {}'.format(1, 'a')
'{0} {1} {0}'.format('x', 'y')
'{name}!'.format(name='Bob')
'{:>5}|{:<5}|{:^5}'.format('a', 'b', 'c')
'{:.2f} {:05d} {:,}'.format(3.14159, 42, 1234567)
'{{}} {}'.format(1)
'{0[a]} {0.b}'.format({'a': 1, 'b': 2})
'{!r} {!s}'.format('a', 'b')
'{} {}'.format(1)
'{:x} {:X} {:#x} {:b}'.format(255, 255, 255, 5)
'{:+d} {:e} {:%}'.format(5, 12345.678, 0.25)
'%s is %d' % ('x', 5)
'%s' % s
'%s' % [1, 2]
'%5.1f|%-5s|%05d' % (2.25, 'ab', 42)
'%(a)s %(b)r' % {'a': 1, 'b': 'x'}
'%d%%' % 50
'%s %s' % ('a',)
'%s' % ('a', 'b')
'%d' % 'a'
'%x %o %e %g' % (255, 8, 1234.5, 0.0001)
'%c%c' % (65, 'B')
'%s' % none
'%s' % missing
'%i' % 3.99
'%+d % d' % (5, 5)
'%s, %s!' | format('Hello', 'you')
s | upper
s | lower
'hello wORLD-foo (bar' | title
'it\'s a test' | title
'hELLO' | capitalize
spaced | trim
'xxhixx' | trim('x')
n | string
s | length
l | length
d | count
n | length
nil | length
(l | map('string')) | length
l | first
l | last
s | first
s | last
[] | first is defined
[] | last is defined
d | first
d | last
(l | select('odd')) | first
(l | select('odd')) | last
nil | first
l | join
l | join(', ')
l | join(1)
mixed | join(', ', attribute=0)
users | join(', ', attribute='name')
users | join(', ', 'address.city')
users | map(attribute='tags') | list
users | map(attribute='tags', default='none') | list
users | map(attribute='address.city') | join('|')
nested | map(attribute=0) | list
mixed | map('lower') | list
mixed | map('replace', 'b', 'x') | list
l | map('string') | join('+')
l | map('nope') | list
[] | map('nope') | list
l | map | list
l | map(1) | list
users | map(attribute='name', foo=1) | list
l | select('odd') | list
l | reject('odd') | list
l | select | list
[0, 1, '', 'a', none] | select | list
[0, 1, '', 'a', none] | reject | list
l | select('gt', 1) | list
l | select('in', [1, 2]) | list
l | select('nope') | list
users | selectattr('age', 'equalto', 30) | map(attribute='name') | list
users | selectattr('tags') | map(attribute='name') | list
users | rejectattr('tags') | map(attribute='name') | list
users | rejectattr('age', 'gt', 26) | map(attribute='name') | list
users | selectattr('address.city', 'eq', 'Oslo') | list | length
messages | selectattr('role', 'equalto', 'system') | list
messages | rejectattr('role', 'eq', 'user') | map(attribute='content') | join(' ')
users | selectattr('tags', 'defined') | list | length
users | selectattr | list
l | sort
l | sort(reverse=true)
l | sort(true)
mixed | sort
mixed | sort(case_sensitive=true)
users | sort(attribute='name') | map(attribute='name') | list
users | sort(attribute='age,name') | map(attribute='name') | list
users | sort(attribute='age', reverse=true) | map(attribute='name') | list
[1, 'a'] | sort
[none, 1] | sort
'hello' | sort
d | sort
mixed | unique | list
[1, 1.0, true, 2] | unique | list
mixed | unique(case_sensitive=true) | list
users | unique(attribute='age') | map(attribute='name') | list
[[1], [1]] | unique | list
l | min
l | max
mixed | min
mixed | max
[] | max is defined
users | max(attribute='age')
users | min(attribute='name')
l | sum
users | sum(attribute='age')
l | sum(start=10)
[0.1, 0.2] | sum
['a'] | sum
[[1], [2]] | sum(start=[])
l | reverse | list
s | reverse
(1, 2) | reverse | list
d | reverse | list
range(3) | reverse | list
n | reverse
(l | map('string')) | reverse
'abc' | list
d | list
n | list
d | items | list
l | items | list
d | dictsort
d | dictsort(true)
numbers | dictsort(by='value', reverse=true)
numbers | dictsort(by='zzz')
l | dictsort
'42' | int
' 42 ' | int
'42.9' | int
'abc' | int
'abc' | int(-1)
'0x1F' | int(base=16)
'ff' | int(0, 16)
'0b11' | int(base=0)
'1_000' | int
'1__0' | int
'+5' | int
'-5' | int
'- 5' | int
'' | int
3.99 | int
-3.99 | int
true | int
none | int
[] | int
'1e3' | int
'inf' | int
'nan' | int
'3.5' | float
' 3.5 ' | float
'abc' | float
'abc' | float(1.5)
'1e3' | float
5 | float
none | float
'inf' | float
'-Infinity' | float
'nan' | float
'.5' | float
'5.' | float
'1_0.5' | float
true | float
-5 | abs
-5.5 | abs
'a' | abs
true | abs
2.5 | round
3.5 | round
2.567 | round(2)
2.567 | round(2, 'floor')
2.561 | round(2, 'ceil')
42 | round
42 | round(1)
125 | round(-1)
135 | round(-1)
-125 | round(-1)
1234.5 | round(-2)
2.675 | round(2)
0.5 | round
1.5 | round | int
'a' | round
2.5 | round(0, 'up')
lines | indent
lines | indent(2)
lines | indent(2, true)
lines | indent(2, true, true)
lines | indent(width='> ')
lines | indent(2, blank=true)
n | indent
s | center(20) ~ '|'
s | truncate(8)
s | truncate(8, true, '', 0)
s | truncate(5, true)
s | truncate(9, false, '...', 0)
s | truncate(255)
'a b_c d-e' | wordcount
'<a href="x">\'&' | e
'<b>' | escape
'<b>' | safe
s | replace('l', 'L')
s | replace('l', 'L', 1)
n | replace(7, 8)
[1, 2, 3, 4, 5] | batch(2) | list
[1, 2, 3, 4, 5] | batch(2, 'x') | list
[1, 2, 3, 4, 5] | slice(2) | list
[1, 2, 3, 4, 5] | slice(3, 'x') | list
[] | batch(2) | list
d | attr('b') is defined
s | attr('upper') is callable
d | tojson
messages | tojson
messages[1] | tojson(indent=2)
d | tojson(indent=4)
d | tojson(indent='--')
d | tojson(indent=0)
{} | tojson(indent=2)
[] | tojson(indent=2)
[[], {}] | tojson(indent=2)
uni | tojson
uni | tojson(ensure_ascii=true)
uni | tojson(true)
d | tojson(separators=(',', ':'))
{'b': 1, 'a': 2} | tojson(sort_keys=true)
{'b': 1, 'a': 2} | tojson(indent=2, sort_keys=true, separators=(',', ': '))
{1: 2, none: 3, 2.5: 4, true: 5} | tojson
{(1, 2): 3} | tojson
{1: 1, 'a': 2} | tojson(sort_keys=true)
'</script>&\'"\\/\b\f\n\r\t\x01\x7f\u2028' | tojson
'\x7f' | tojson(ensure_ascii=true)
1.0 | tojson
1e22 | tojson
'inf' | float | tojson
(1, 'a') | tojson
[true, false, none] | tojson
range(3) | tojson
d.items() | tojson
(l | map('string')) | tojson
(l | map('string') | list) | tojson
s.upper | tojson
none | tojson
d | string
l | string | length
dict(a=1, b=2)
dict([('a', 1), ['b', 2]])
dict({'a': 1}, b=2)
dict(**{'x': 1})
dict([1])
dict(1, 2)
range(*[1, 4]) | list
range(**{'a': 1})
namespace(a=1)
namespace(a=1).a
namespace({'a': 1}, b=2).b
namespace(a=1).b is defined
namespace(a=1)['a']
namespace(_a=1)._a is defined
namespace(a=1) is mapping
namespace(a=1) == namespace(a=1)
raise_exception('stop here')
raise_exception(n)
strftime_now('%Y-%m-%d')
strftime_now('%d %b %Y')
strftime_now('%A, %B %d, %Y %H:%M:%S %j %p')
strftime_now('%-d/%-m %y %I %e %% é')
strftime_now('')
strftime_now(1)
cycler
lipsum
loop
s.upper
s.upper()()
s()
l(1)
n.foo()
d.get
s.upper(1)
s.nope()
1 +
(1
[1
{'a'}
{'a': }
)
1 2
a.1b
'unclosed
1 == 
not
a is
a |
a | 1
a is 1
1..2
a b
*a
a, b
1, 2
l[1, 2]
l[1:2, 3]
f(x=1, 2)
f(**d, x=1)
range(*l, 1)
a ? b
a @ b
a = b
a := b
a & b
a ! b
$a
{{1}}
{'a': {'b': {'c': 1}}}
{'a': {'b': {'c': 1}}}['a'].b['c']
[[1, 2], [3, 4]][1][0]
{'x': [1, {'y': 'z'}]}.x[1].y
(s ~ '!') | upper
s | upper | lower | title
(n | string).zfill(3)
-1 | abs
-(1 | abs)
not n is odd
not n == 7
1 + 2 ~ 3
'a' ~ 'b' == 'ab'
1 in [1] and 2 in [2]
n == 7 and s | length == 11
2 + 3 | string
(2 + 3) | string
10 - 2 - 3
2 * 3 % 4
true if s is defined and n > 5 else false
[1, 2, 3] | length > 2
l | length - 1
messages[0].role == 'system'
messages[0]['content'] | trim
messages[-1].tool_calls is defined and messages[-1].tool_calls
messages[1:] | map(attribute='role') | list
messages[::-1][0].role
(messages | last).role
messages | map(attribute='content') | map('length') | list
messages | length % 2 == 1
messages[0].content + ' ' + messages[1].content
'system' in messages | map(attribute='role')
'x' ~ (messages | map(attribute='role') | join('x'))
1.5 | string ~ 'x'
[1, 2] | string
{'a': '\u00e9'} | string
'%.3f' % 2
'%10s|' % 'é'
'ab' < 'abc'
'é' > 'z'
[] < [1]
1 < 1.5
9007199254740993 == 9007199254740992.0
9007199254740993 > 9007199254740992.0
1e400
1 <= 1 >= 1
1 != 2 != 1
'a' in 'abc' in ['abc']
"'"
'"'
"\""
'\'"'
['\'', '"', '\'"']
'multi
line'
(1
 + 2)
[1,
 2]
"""

_BLOCKS = [
    "",
    "plain text",
    "plain text\n",
    "plain text\n\n",
    "a\r\nb\rc\n",
    "{{ '{{' }} {% raw %}{{ x }} {% if %}{% endraw %}",
    "{% raw -%}  a  {%- endraw %}  b",
    "{%- raw %}\n a \n{% endraw -%}\n b",
    "{% raw %}unclosed",
    "a {# comment {{ x }} #} b",
    "a {#- comment -#} b",
    "  {# own line #}\nnext",
    "a {#+ kept +#}\n b",
    "{# unclosed",
    "{% if t %}\nyes\n{% endif %}\nafter",
    "  {% if t %}\n  yes\n  {% endif %}\nafter",
    "  {%+ if t %}\n  yes\n  {%+ endif %}\nafter",
    "{% if t +%}\nyes{% endif +%}\nafter",
    "a  {%- if t -%}  yes  {%- endif -%}  b",
    "a\n  {{- s -}}  \nb",
    "a\n  {{ s }}\n  b",
    "x {% if t %} y {% endif %} z",
    "x\t{% if t %}\ty\t{% endif %}\tz\n",
    "{{ s }}  {% if t %}a{% endif %}",
    "{{ s }}\n  {% if t %}a{% endif %}",
    "{% set x = 1 %}  {% set y = 2 %}{{ x + y }}",
    "\u00a0{% if t %}nbsp{% endif %}",
    "a\u2003{%- if t %}em{% endif %}",
    "{% if no %}a{% elif nil %}b{% elif n %}c{% else %}d{% endif %}",
    "{% if no %}a{% else %}d{% endif %}",
    "{% if missing %}a{% else %}b{% endif %}",
    "{% if l | select('gt', 100) %}generators are true{% endif %}",
    "{% for x in l %}{{ x }},{% endfor %}",
    "{% for x in [] %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }} {% else %}none{% endfor %}",
    "{% for x in l if x > 10 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}"
    "{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for x in l %}[{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}]{% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for x in l %}{{ loop.cycle('odd', 'even') }} {% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}",
    "{% for x in l | map('string') %}{{ loop.length }}{{ loop.last }}{{ x }} {% endfor %}",
    "{% for x in l if x != 2 %}{{ loop.length }}{{ loop.revindex }}{{ loop.last }} {% endfor %}",
    "{% for k, v in numbers.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }};{% endfor %}",
    "{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for c in 'héé' %}{{ c }}.{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3)), (4, [5, 6])] %}{{ a }}{{ b }}{{ c }} {% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "{% for a, b in [(1,)] %}{% endfor %}",
    "{% for a, b in [1] %}{% endfor %}",
    "{% for x in n %}{% endfor %}",
    "{% for x in nil %}{% endfor %}",
    "{% for x in missing %}a{% else %}b{% endfor %}",
    "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
    "{% for x in l %}{% set outer = loop %}{% for y in l %}{{ outer.index }}{{ loop.index }} "
    "{% endfor %}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}!",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}!",
    "{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}"
    "{% endfor %}",
    "{% for x in [1] %}{% break %}{% else %}else{% endfor %}",
    "{% for x in l %}{% set z %}a{% if x == 1 %}{% break %}{% endif %}{% endset %}{{ z }}{{ x }}"
    "{% endfor %}",
    "{% break %}",
    "{% if t %}{% continue %}{% endif %}",
    "{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for x in l %}{% endfor %}{{ x }}",
    "{{ loop is defined }}",
    "{% for x in l %}{% continue %}{% else %}else{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{% else %}else{% endfor %}",
    "{% for loop in l %}{% endfor %}",
    "{% for x in l %}{% set loop = 1 %}{% endfor %}",
    "{% set loop = 1 %}{{ loop }}",
    "{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% for i in l %}{{ x }}{% set x = i %}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if t %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{{ ns.x is defined }}{% set ns.x = 1 %}{{ ns.x }}{{ ns }}",
    "{% set ns.x = 1 %}",
    "{% set d.x = 1 %}",
    "{% set ns = namespace(found=false) %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a, b = 1 %}",
    "{% set (a, b), c = (1, 2), 3 %}{{ a }}{{ b }}{{ c }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set x %}block {{ n }}{% endset %}{{ x }}{{ x | length }}",
    "{% set x | upper %}block {{ n }}{% endset %}{{ x }}",
    "{% set x | replace('b', 'c') | trim %}  bob  {% endset %}[{{ x }}]",
    "{% set x %}{% set y = 5 %}{{ y }}{% endset %}{{ x }}{{ y is defined }}",
    "{% set 1 = 2 %}",
    "{% set true = 2 %}",
    "{% set x %}",
    "{% set x = %}",
    "{% set messages = messages[1:] %}{{ messages | length }}",
    "{% set loop_messages = messages if no else messages[:1] %}{{ loop_messages | length }}",
    "{% macro greet(name, greeting='Hi') %}{{ greeting }} {{ name }}!{% endmacro %}"
    "{{ greet('Ann') }}{{ greet('Bob', 'Yo') }}{{ greet(greeting='Oh', name='Cy') }}",
    "{% macro m(a, b) %}{{ a }}{{ b is defined }}{{ b }}{% endmacro %}{{ m(1) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=1) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}",
    "{% macro m(a) %}{{ varargs }}{{ kwargs }}{{ a }}{% endmacro %}{{ m(1, 2, x=3) }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro m(x) %}{% if x > 0 %}{{ x }}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(5) }}",
    "{% macro m() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ m() }}",
    "{% macro m() %}{% set inner = 1 %}{{ inner }}{% endmacro %}{{ m() }}{{ inner is defined }}",
    "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% macro m() -%}\n  spaced  \n{%- endmacro %}[{{ m() }}]",
    "{% macro m() %}x{% endmacro %}{{ m }}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}inside {{ n }}{% endcall %}",
    "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=0) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% call n %}{% endcall %}",
    "{% filter upper %}shout {{ s }}{% endfilter %}",
    "{% filter replace('o', '0') | upper %}shout {{ s }}{% endfilter %}",
    "{% filter nope %}x{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "{% generation %}kept {{ n }}{% endgeneration %}",
    "{% for x in l %}{% generation %}{{ loop.index }}{{ x }}{% endgeneration %}{% endfor %}",
    "{% generation %}{% set g = 1 %}{% endgeneration %}{{ g is defined }}",
    "  {% generation %}\n a\n  {% endgeneration %}\nb",
    "{% generation %}",
    "{% if t %}",
    "{% if t %}{% endfor %}",
    "{% endif %}",
    "{% for x in l %}",
    "{% for x of l %}{% endfor %}",
    "{% for in l %}{% endfor %}",
    "{% nope %}",
    "{% %}",
    "{{ }}",
    "{{ s",
    "{% if t",
    "{{ s }",
    "{% if t }}",
    "{{ s %}",
    "{{ {'a': {'b': 1}} }}",
    "{{ {'a': {'b': 1}}['a'] }}",
    "{%if t%}tight{%endif%}",
    "{{-s-}}",
    "{{- -1 }} {{ - 1 }} {{ -1 -}} x",
    "{%- if t %}\n{{ s }}\n{%- endif %}\n",
    "{%- for m in messages -%}\n  {{ m.role }}: {{ m.content }}\n{% endfor -%}\nend",
    "{% for m in messages %}\n  {{ m.role }}\n{% endfor %}\nend",
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '\n' }}{% endfor %}",
    "{% if messages[0]['role'] == 'system' %}{% set sys = messages[0]['content'] %}"
    "{% set messages = messages[1:] %}{% endif %}{{ sys }}{{ messages | length }}",
    "{{ raise_exception('boom: ' ~ s) }}",
    "{% if no %}{{ raise_exception('boom') }}{% endif %}fine",
    "{% set ns = namespace(last=messages | length - 1) %}{% for m in messages[::-1] %}"
    "{% set i = (messages | length - 1) - loop.index0 %}{% if m.role == 'user' %}"
    "{% set ns.last = i %}{% endif %}{% endfor %}{{ ns.last }}",
    "{% set g = l | select('odd') %}{{ g | list }}{{ g | list }}",
    "{% set g = l | map('string') %}{{ g | first }}{{ g | join }}",
    "{% set r = l | reverse %}{{ r | list }}{{ r | list }}",
    "{% set ns = namespace(on=true) %}{% for x in l if ns.on %}{{ x }}{% set ns.on = false %}"
    "{% endfor %}",
    "{% set _hidden = 1 %}{{ _hidden }}",
    "{% if n is nope %}{% endif %}",
    "{% if no %}{{ n | nope }}{% endif %}fine",
    "{% if no %}{% for x in l %}{{ x | nope }}{% endfor %}{% endif %}fine",
    "{{ 1 if no else 2 }}{{ 'x' | nope if no }}",
    "{% for m in messages %}{{ m.content if m.content is string else '' }}{% endfor %}",
    "{% if not messages %}x{% elif messages | length > 2 and messages[0].role in ['system'] %}y{% endif %}",
    "{{ s }}{# c #}{{ n }}{#- d -#} {{ t }}",
    "line {{ s }}\n\n\n{% if t %}\n\n\nx{% endif %}",
    "{{ '\\n' }}{% if t %}\nx{% endif %}",
    "{% for x in range(3) %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{{ [1, 2, 3][1:] }}{{ {'a': 1}.a }}{{ (1, 2).0 }}",
    "{{ s }}",
    "{{ n }}",
]

TEMPLATES = ["{{ " + e.replace("\x00", "\n") + " }}" for e in
             _EXPRESSIONS.strip("\n").replace("multi\nline", "multi\x00line")
             .replace("(1\n + 2)", "(1\x00 + 2)").replace("[1,\n 2]", "[1,\x00 2]").split("\n")]
TEMPLATES += _BLOCKS
