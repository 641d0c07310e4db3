"""Runs what the documentation shows: every fenced block of every page is a test.

A page is any Markdown file that `plugin.PAGES` names. Its blocks run in order, in a folder of the page's own, and share
one Python namespace and one shell. What a block is, its language says:

``python``
    A program. It runs, top-level ``await`` included. If its first line is a comment that names a file, ``# jobs.py``,
    it is written there and imported, and commands of the page can use it; ``test_*.py`` is written only.
``pycon``
    A session with ``>>>``; its output is compared, and ``...`` stands for anything.
``console``
    What begins with ``$ `` is run by bash, and what follows it is what it must print, both streams together. No
    output means that it prints nothing; ``...`` stands for anything, alone on its line for any lines, and blanks for
    any blanks. A command must succeed unless the next one is ``$ echo $?``. It may go on over lines that end in a
    backslash, and over a here-document.
``console`` with a command that ends in ``&``
    It stays in the background, and what follows is awaited, at most 20 seconds. ``$ kill %1`` stops it,
    and ``$ wait`` prints the rest of what it said.
``toml yaml json ini dockerfile sh``
    Parsed, their ``pulpo`` lines too; written to the file that the first line names in a comment.
``text`` or nothing
    A drawing or a form: no commands in it, and its queue URLs are valid.

Any other language fails, ``mermaid`` included: a site draws it with what it fetches from elsewhere. Blocks inside an
HTML comment run too: that is where a page prepares what its reader has.

The read-me of an example runs in a copy of the example's folder.

Addresses are those a reader would use. Files under ``/tmp/``, ``/var/spool/`` and the like are in the page's folder,
and ports of ``127.0.0.1`` and ``localhost`` are free ones; output is put back into the page's words. A page that names
``127.0.0.1:11300`` finds a beanstalkd there unless it starts one, and one that names ``sqs://`` finds SQS and SNS, and
credentials for them.

Commands that no test can run, ``docker`` and ``git clone`` for example, are in `commands.NOT_RUN`, with what is checked
instead.
"""
