"""Which modules and classes the embedded collection documents: explicit lists, not whatever is found installed."""

# Modules that Python 3.10 to 3.13 have and that can be imported without opening a window, a browser or a terminal.
STANDARD_MODULES = """
abc argparse array ast asyncio atexit base64 bdb binascii bisect builtins bz2 cProfile calendar cmath cmd code codecs
codeop collections collections.abc colorsys compileall concurrent.futures configparser contextlib contextvars copy
copyreg csv ctypes ctypes.util curses curses.ascii curses.textpad dataclasses datetime dbm decimal difflib dis doctest
email email.charset email.encoders email.errors email.generator email.header email.headerregistry email.message
email.mime.application email.mime.audio email.mime.image email.mime.multipart email.mime.text email.parser
email.policy email.utils ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools
gc getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html html.entities html.parser http http.client
http.cookiejar http.cookies http.server imaplib importlib importlib.abc importlib.machinery importlib.metadata
importlib.resources importlib.util inspect io ipaddress itertools json json.decoder json.encoder keyword linecache
locale logging logging.config logging.handlers lzma mailbox marshal math mimetypes mmap modulefinder multiprocessing
multiprocessing.connection multiprocessing.managers multiprocessing.pool multiprocessing.shared_memory netrc numbers
operator optparse os os.path pathlib pdb pickle pickletools pkgutil platform plistlib poplib pprint profile pstats pty
pwd py_compile pyclbr pydoc queue quopri random re reprlib resource runpy sched secrets select selectors shelve shlex
shutil signal smtplib socket socketserver sqlite3 ssl stat statistics string stringprep struct subprocess symtable sys
sysconfig syslog tabnanny tarfile tempfile termios textwrap threading time timeit token tokenize tomllib trace
traceback tracemalloc tty types typing unicodedata unittest unittest.mock urllib.error urllib.parse urllib.request
urllib.response urllib.robotparser uuid venv warnings wave weakref webbrowser wsgiref.handlers wsgiref.headers
wsgiref.simple_server wsgiref.util wsgiref.validate xml.dom xml.dom.minidom xml.dom.pulldom xml.etree.ElementTree
xml.sax xml.sax.handler xml.sax.saxutils xml.sax.xmlreader xmlrpc.client xmlrpc.server zipapp zipfile zipimport zlib
zoneinfo
"""

NUMPY_MODULES = """
numpy numpy.char numpy.ctypeslib numpy.dtypes numpy.emath numpy.exceptions numpy.fft numpy.lib.array_utils
numpy.lib.format numpy.lib.introspect numpy.lib.mixins numpy.lib.npyio numpy.lib.scimath numpy.lib.stride_tricks
numpy.linalg numpy.ma numpy.polynomial numpy.polynomial.chebyshev numpy.polynomial.hermite numpy.polynomial.legendre
numpy.polynomial.polynomial numpy.random numpy.rec numpy.strings numpy.testing
"""

# Methods are left out but for the classes whose methods people look up by name, as they do functions.
CLASSES_WITH_METHODS = """
str bytes list tuple dict set int float collections.Counter collections.deque collections.OrderedDict datetime.date
datetime.datetime datetime.timedelta pathlib.Path pathlib.PurePath re.Pattern re.Match threading.Thread threading.Lock
threading.Event threading.Condition concurrent.futures.Executor concurrent.futures.Future queue.Queue subprocess.Popen
socket.socket argparse.ArgumentParser logging.Logger unittest.TestCase unittest.mock.Mock sqlite3.Connection
sqlite3.Cursor csv.DictWriter zipfile.ZipFile tarfile.TarFile configparser.ConfigParser string.Formatter
decimal.Decimal fractions.Fraction contextlib.ExitStack io.TextIOBase io.IOBase xml.etree.ElementTree.Element
email.message.EmailMessage asyncio.Queue numpy.ndarray numpy.random.Generator
"""
