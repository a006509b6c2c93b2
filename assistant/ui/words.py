"""Every word that the pages show, in one place."""

from __future__ import annotations

NAME = "Fiel"

# Header
SHOW_CONVERSATIONS = "Conversations"
SHOW_DOCUMENTS = "Documents"
SWITCH_THEME = "Switch between light and dark"
CLOSE = "Close"
CANCEL = "Cancel"
CONFIRM = "OK"

# The empty state
WELCOME = "Ask your documents"
WELCOME_TEXT = "Answers come from your own files, and each one shows the sentence it rests on."
ADD_FILES = "Add documents"
ADD_FILES_TEXT = "Drop files anywhere on this page, or choose them."
TRY_SAMPLES = "Try it with sample documents"
TRY_SAMPLES_TEXT = "Adds a few short documents and asks the first question for you."
EXAMPLES = "Questions to start with"

# Asking
QUESTION_LABEL = "Your question"
QUESTION_HINT = "Ask about your documents …"
SEND = "Send"
STOP = "Stop"
SEARCHING = "Searching your documents …"
READING = {1: "Reading 1 passage …", 2: "Reading {} passages …"}
ADDING_SAMPLES = "Adding the sample documents … {} %"
SAMPLES_MISSING = "The sample documents are not installed."
STILL_ANSWERING = "An answer is still being written. Wait for it, or stop it first."
EDITING = "You are changing an earlier question. What came after it leaves the conversation."
ASKING_CHOSEN = {1: "Asking 1 chosen document", 2: "Asking {} chosen documents"}
ASK_ALL = "Ask all"
BEING_READ = {
    1: "1 document is still being read. You can ask already: answers use what is ready.",
    2: "{} documents are still being read. You can ask already: answers use what is ready.",
}
FOOTNOTE = "Fiel can be wrong: check the sources."
CHANGE_FAILED = "That did not work. Please try again; if it stays so, the log in the state folder says why."

# Answers
ANSWER = "Answer"
QUESTION = "Question"
SOURCES = "Sources"
SOURCE_OF = "Source {n}: {document}"
PAGE = "Page {}"
PAGE_SHORT = "p. {}"
GOOD = "Good answer"
BAD = "Bad answer"
COPY = "Copy answer"
COPIED = "Copied"
RETRY = "Ask again"
EDIT = "Edit question"
STOPPED = "Stopped before it was finished."
FAILED = "This answer could not be finished. Ask again."
EMPTY_ANSWER = "No answer was written."

# The source panel
SOURCE = "Source"
SOURCE_HINT = "Choose a number in an answer to see the sentence it rests on."
OPEN_DOCUMENT = "Open in document"
OPEN_ORIGINAL = "Original file"
DOCUMENT_GONE = "This document has been deleted since. You see the passage as it was when the question was asked."

# Documents
DOCUMENTS = "Documents"
UPLOAD_LABEL = "Drop files here or choose them"
NO_DOCUMENTS = "No documents yet."
CHOOSE = "Ask only this document: {}"
QUEUED = "Waiting"
INDEXING = "Reading … {} %"
DOCUMENT_FAILED = "Could not be read"
PAGES = {1: "1 page", 2: "{} pages"}
SENTENCES = {1: "1 sentence", 2: "{} sentences"}
RETRY_DOCUMENT = "Try again"
DELETE_DOCUMENT = "Delete {}"
CONFIRM_DELETE_DOCUMENT = "Delete “{}”? Earlier answers keep the passages they showed; new ones cannot use it."
NOT_ADDED = "“{name}” was not added: {reason}"
ALREADY_THERE = "“{name}” is there already, as “{same}”."

# Conversations
CONVERSATION = "Conversation"
CONVERSATIONS = "Conversations"
NEW_CONVERSATION = "New conversation"
SEARCH_CONVERSATIONS = "Search conversations"
NO_CONVERSATIONS = "Your conversations will be kept here."
NOTHING_FOUND = "No conversation has these words."
CONVERSATION_MENU = "Options for {}"
RENAME = "Rename"
RENAME_PROMPT = "Name of the conversation"
EXPORT_MARKDOWN = "Export as Markdown"
EXPORT_JSON = "Export as JSON"
DELETE = "Delete"
CONFIRM_DELETE_CONVERSATION = "Delete “{}”? Its questions, answers and ratings are deleted too."
NAME_MISSING = "Please give the conversation a name."
DROP_HERE = "Drop to add to your documents"


def counted(forms: dict[int, str], count: int) -> str:
    """The singular (1) or the plural (2) form, with the number in it."""
    return forms[1 if count == 1 else 2].format(f"{count:,}")
