"""Every word that the pages show, in English."""

from __future__ import annotations

NAME = "Fiel"
LANGUAGE_TAG = "en"

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
ANSWERED_BY = "The adapter that answered, or the base model"
EDIT = "Edit question"
DELETE_EXCHANGE = "Delete question and answer"
CONFIRM_DELETE_EXCHANGE = "Delete this question with its answer and rating? There is no way back."
STOPPED = "Stopped before it was finished."
FAILED = "This answer could not be finished. Ask again."
REDACTED = "This answer rested on a document that has been deleted, and was deleted with it."
EMPTY_ANSWER = "No answer was written."

# The source panel
SOURCE = "Source"
SOURCE_HINT = "Choose a number in an answer to see the sentence it rests on."
OPEN_DOCUMENT = "Open in document"
OPEN_ORIGINAL = "Original file"
DOCUMENT_GONE = "This document has been deleted since. You see the passage as it was when the question was asked."
STILL_READ = "The text is still being read. Reload this page in a moment."
EARLIER_TEXT = "Earlier text"
LATER_TEXT = "Later text"

# Documents
DOCUMENTS = "Documents"
UPLOAD_LABEL = "Drop files here or choose them"
NO_DOCUMENTS = "No documents yet."
CHOOSE = "Ask only this document: {}"
QUEUED = "Waiting"
INDEXING = "Reading … {} %"
DOCUMENT_FAILED = "Could not be read"
PAGES = {1: "1 page", 2: "{} pages"}
EMPTY_PAGES = {
    1: "1 page holds no text (a picture of a page, perhaps) and cannot be asked about.",
    2: "{} pages hold no text (pictures of pages, perhaps) and cannot be asked about.",
}
SENTENCES = {1: "1 sentence", 2: "{} sentences"}
RETRY_DOCUMENT = "Try again"
DELETE_DOCUMENT = "Delete {}"
CONFIRM_DELETE_DOCUMENT = "Delete “{}”? What earlier answers showed and said of it is deleted, too, for everybody."
NOT_ADDED = "“{name}” was not added: {reason}"
ALREADY_THERE = "“{name}” is there already, as “{same}”."

# Conversations
CONVERSATION = "Conversation"
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

# Signing in and the account
SIGN_IN = "Sign in"
SIGNED_OUT = "Your session has ended. Please sign in again."
SIGN_OUT = "Sign out"
USER_NAME = "Name"
PASSWORD = "Password"  # noqa: S105
WELCOME_PERSON = "Welcome, {}"
CHOOSE_PASSWORD = "Choose a password of at least 10 characters. This link works once."  # noqa: S105
SET_PASSWORD = "Set password"  # noqa: S105
ACCOUNT = "Your account"
CURRENT_PASSWORD = "Current password"  # noqa: S105
NEW_PASSWORD = "New password"  # noqa: S105
CHANGE_PASSWORD = "Change password"  # noqa: S105
DONE = "Done."
NOT_DONE = "That did not work. Please try again."
SESSIONS = "Browsers"
SIGNED_IN_BROWSERS = {1: "You are signed in in 1 browser.", 2: "You are signed in in {} browsers."}
SIGN_OUT_ELSEWHERE = "Sign out everywhere else"
LEARNING = "Learning from private answers"
SHARING_TEXT = (
    "If you allow it, administrators can read, and the assistant can learn from, your conversations that rest on your "
    "private documents; everybody who asks could then be told what stands in them."
)
SHARING_ALLOW = "Allow"
SHARING_REVOKE = "No longer allow"
SHARING_ON = "You allow it now."
SHARING_OFF = "You do not allow it now."
API_KEYS = "API keys"
API_KEYS_TEXT = "A program that sends a key asks in your name."
NO_KEYS = "You have no keys."
KEY_NAME = "What is the key for?"
MAKE_KEY = "Make a key"
KEY_ONCE = "Copy this key now: it is not shown again."
REVOKE = "Revoke"
LANGUAGE = "Language"
LANGUAGE_NAME = "English"
LOCAL_ACCOUNT = "While there are no accounts, everybody at this computer is the local administrator."
BACK = "Back to the chat"

# People
PEOPLE = "People"
ROLE = "Role"
ROLES = {"user": "User", "admin": "Administrator"}
STATE = "State"
STATES = {"active": "active", "invited": "invited", "disabled": "disabled"}
INVITE = "Invite"
INVITE_TEXT = "You get a link, which lets the person choose a password, once, within three days."
LINK_ONCE = "Give this link to the person: it is not shown again."
MAKE_ADMIN = "Make administrator"
MAKE_USER = "Make user"
DISABLE = "Disable"
ENABLE = "Enable"
RESET = "Reset password"
NO_PEOPLE = (
    "There are no accounts yet: everybody at this computer is the local administrator. With the first account, "
    "everybody has to sign in."
)

# The audit log
AUDIT = "Audit log"
WHEN = "When"
WHO = "Who"
WHAT = "What"
SUBJECT = "Number or id"
ANY = "any"
FILTER = "Filter"
MORE = "More"
NOTHING = "Nothing here."

# Review and charts
REVIEW = "Review"
CHARTS = "Charts"

# Rating
RATE_WHY = "Why? (optional)"
RATE_PASSAGES = "Which passages do not belong here?"
RATE_MORE = "Comment or correct the answer"
RATE_COMMENT = "Comment"
RATE_CORRECTION = "The answer as it should be"
RATE_KEEP = "Save"
RATING_KEPT = "Saved. Thank you."
REASONS = {
    "not_in_documents": "not in the documents",
    "wrong": "wrong",
    "incomplete": "incomplete",
    "wrong_passage": "wrong passage",
    "not_asked": "not what I asked",
    "tone": "tone or language",
}

# The badge of an answer
SUPPORT = {1: "{supported} of 1 sentence supported", 2: "{supported} of {total} sentences supported"}
SUPPORT_TEXT = "How much of the answer follows from its sources, as a small judge model sees it"
SUPPORTED = "supported"
UNSUPPORTED = "not supported"
LEVELS = {"supported": SUPPORTED, "unclear": "unclear", "not_found": "not found in the sources"}
SUPPORT_CHECKED = (
    "Where people here checked this judge, it found {found} supported and {not_found} unsupported sentences."
)
SUPPORT_UNCHECKED = "Nobody here has checked this judge yet."

# The review queue
REVIEW_STATES = {"pending": "to review", "accepted": "accepted", "rejected": "rejected"}
RATING = "Rating"
THUMBS = {"1": "thumbs up", "-1": "thumbs down"}
REASON = "Reason"
DOCUMENT_NUMBER = "Document (number)"
PERSON = "Person"
ADAPTER = "Adapter"
NO_ADAPTER = "none (base)"
SINCE = "Since"
UNTIL = "Until"
SUPPORT_BELOW = "Support below"
WORDS = "Words"
MORE_FILTERS = "More filters"
HELD = "held back only"
HELD_BACK = "held back: new or unusually active"
RESULTS = {1: "1 rating", 2: "{} ratings"}
MANY_RESULTS = "more than {} ratings"
CONTRADICTIONS = "Contradictions"
DUPLICATES = "Same question"
QUEUE = "Queue"
ACCEPT = "Accept"
REJECT = "Reject"
REOPEN = "Reopen"
ACCEPT_CHOSEN = "Accept chosen"
REJECT_CHOSEN = "Reject chosen"
CHOOSE_ALL = "Choose all"
EDITED_ANSWER = "The answer to learn (empty: as it is)"
EDIT_ANSWER = "Edit the answer"
ACCEPT_EDITED = "Accept as edited"
KEYS = "Keys: j and k move, x chooses, a accepts, r rejects, e edits."
PASSAGES = {1: "1 passage", 2: "{} passages"}
EARLIER = "Earlier in the conversation"
WRONG_PASSAGE = "marked as wrong"
CORRECTED = "The person's answer"
REVIEWED = "{state} by {person}, {when}"

# Judging sentences blind
LABELLING = "Check the judge"
LABELLING_TEXT = (
    "Do the passages support the sentence? What the judge said of it is not shown: this is how it is checked."
)
WAITING_LABELS = {1: "1 sentence to judge", 2: "{} sentences to judge"}
HOW_MANY = "How many"
DRAW = "Draw sentences at random"
JUDGE = "Judge"
SENSITIVITY = "Supported ones it finds"
SPECIFICITY = "Unsupported ones it finds"

# Charts
PERIOD = "Period"
DAYS = {1: "the last day", 2: "the last {} days"}
LATEST_RATINGS = "Shares are of the latest ratings, at most {}."
OF = "of {}"
BY_DAY = "Ratings a day"
BY_ADAPTER = "Thumbs up by adapter"
BY_DOCUMENT = "Thumbs up by document"
BY_REASON = "Thumbs up by reason given"
UNANSWERED = "Questions that the documents could not answer"

# Data
DATA = "Data"
EXPORT = "Export for training"
EXPORT_TEXT = (
    "What was accepted in the review, as JSON Lines. Private conversations are in it only where their owner allows it."
)
FORM = "Form"
FORMS = {
    "raw": "triples with ratings and lineage",
    "openai": "OpenAI chat fine-tuning",
    "trl": "TRL: prompt and completion",
    "kto": "TRL: KTO, thumbs as labels",
}
DOWNLOAD = "Download"
ACCEPTED = {1: "1 accepted rating", 2: "{} accepted ratings"}
GOLDEN = "Golden set"
GOLDEN_TEXT = (
    "Questions with the answers they should get, for measuring: JSON Lines or CSV with question and "
    "answer. A file comes in as a whole or not at all; a known question gets the new answer."
)
GOLDEN_FILE = "File (.jsonl or .csv)"
IMPORT = "Bring in"
IMPORTED = "{new} new, {changed} changed, {unchanged} as they were. Reload the page to see them."
GOLDEN_QUESTIONS = {1: "1 question", 2: "{} questions"}
ADAPTERS_AND_DELETED = "Adapters and what was deleted"
ADAPTERS_AND_DELETED_TEXT = (
    "An adapter is affected once any of the exchanges it learnt from was deleted: train a new one to forget it."
)
AFFECTED = "affected since {}"
UNAFFECTED = "not affected"
MADE = "Made"

# Deleting
DELETE_ACCOUNT = "Delete account"
DELETE_ACCOUNT_TEXT = "Your conversations, ratings, private documents and keys are deleted. There is no way back."

# What the gate decided
VERDICTS = {
    "promoted": "Promoted: the candidate answers more faithfully than what answered before.",
    "rejected": "Rejected: {why}",
    "not_enough_evidence": "Not enough evidence: {why}",
    "judge_not_trusted": "The judge is not trusted here: people contradict it too often, so nothing was decided.",
    "failed": "Failed: {why}",
    "cancelled": "Cancelled: {why}",
    "not_tried": "Not tried: {why}",
}
WHY = {
    "items": "there are {items} questions to prove it with, and 60 are needed.",
    "groups": "the questions are about {groups} sections of documents, and 12 are needed.",
    "effective_groups": "nearly all of the questions are about a few sections of documents.",
    "largest_group": "too many of the questions are about one section of a document.",
    "coverage": "the judge gave no score for too many answers.",
    "test": "it is not shown beyond doubt that the candidate is more faithful (p = {p}; at most {alpha} is needed).",
    "gain": "the gain of {mean} is too small to be worth a change.",
    "base": "it is not shown that the candidate is more faithful than the base model.",
    "proven": "it is not shown that the candidate is more faithful than the last adapter that passed the gate.",
    "relevancy": "its answers may be less to the point.",
    "twin_refusals": "it may answer more often where the passages hold no answer.",
    "wrong_refusals": "it may refuse more often where the passages hold the answer.",
    "f1": "it may agree less with the answers that people wrote.",
    "shorter": "its answers became much shorter.",
    "longer": "its answers became much longer.",
    "canaries": "the engine does not answer properly with it.",
    "judge": "its balanced accuracy on what people checked is below .65.",
    "nothing_to_learn": "no accepted rating teaches anything yet. Rate answers, and accept ratings under Review.",
    "unchanged": "there is nothing new to learn since the last time.",
    "screened": "on the validation questions the candidate is not better by .01 at least.",
    "rolled_back": "an adapter from nearly the same examples was rolled back; a tenth of them has to be new.",
    "preview": "this was a preview.",
    "no_tickets": "all tries of this year are spent.",
    "changed": "people changed the adapters meanwhile: what was proven does not hold for those.",
    "affected": "examples of it were deleted meanwhile; the next cycle learns without them.",
}
VERDICT_GAIN = "Gain in faithfulness: at least {lower} (95 % bound), {mean} on average; p = {p}, at most {alpha}."
VERDICT_WINNER = "The average flatters what was promoted; the bound does not."
VERDICT_EVIDENCE = "It rests on {items} questions about {groups} sections, and holds for the documents at hand."
VERDICT_MORE = "About {count} more questions in chats, rated or not, would show whether it gains .05."
VERDICT_TICKETS = "Tries left within a year: {count}."

# Training
TRAINING = "Training"
TRAIN_NOW = "Train now"
PREVIEW = "Preview: what would be learnt"
RUN = "Run"
RUN_STATES = {
    "waiting": "waits to begin",
    "running": "at work",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}
CANCEL_RUN = "Cancel this run"
VERDICT = "Verdict"
HISTORY = "Runs"
NO_RUN = "No run yet. The schedule or the button above begins one."
NO_ADAPTERS = "No adapter yet: the base model answers."
STAGES = {
    "collect": "collect",
    "train": "train",
    "screen": "screen",
    "examine": "examine",
    "decide": "decide",
    "promote": "promote",
    "report": "report",
}
PROGRESS = {
    "loss": "loss",
    "validation_loss": "validation loss",
    "examples_per_second": "examples a second",
    "seconds_left": "seconds left",
}
HEALTH = "Engine: {engine} · store: {store} · free: {disk} of disk, {memory} of memory"
GATE = "Gate"
GATE_TEXT = "{sealed} of {exchanges} questions lie in sealed sections ({groups}): they prove adapters and teach none."
GATE_ITEMS = "Sealed questions"
OPENING_TEXT = "A question that somebody has looked at proves nothing any more: opening it takes it out of the gate."
OPEN_ITEM = "Open"
SCHEDULE = "Schedule"
CRON = "When (cron)"
AFTER_RATINGS = "Or after new accepted ratings"
QUIET_FROM = "Quiet from"
QUIET_UNTIL = "Quiet until"
SAVE_SCHEDULE = "Save"
SCHEDULE_ON = "on"
SCHEDULE_PAUSED = "paused"
ADAPTERS = "Adapters"
ADAPTER_STATES = {
    "candidate": "candidate",
    "champion": "answers now",
    "retired": "retired",
    "rejected": "rejected",
    "withdrawn": "withdrawn",
}
PROVEN = "passed the gate"
UNPROVEN = "not proven"
WINDOW = "Sentences in a window: {size}."
HURT = "examples of it were deleted"
FORGET_NOW = "Forget it"
FORGET_TEXT = (
    "Examples were deleted that these adapters learnt from: {versions}. Forgetting takes them out and trains anew "
    "without what was deleted; until that is proven, an adapter answers that is not concerned, or the base model."
)
CHANGED = {
    "broke": "Taken back by itself: half of the adapter's latest answers were empty, endless or failed.",
    "forgotten": "Changed because examples of the adapter were deleted.",
}
WORSE = {
    "thumbs": "Since {version} answers, {now} of {n_now} ratings are thumbs-up; before it {before} of {n_before} were. "
    "Look at what people say of it, or roll it back.",
    "support": "Since {version} answers, the sources support {now} of what is said ({n_now} answers); before it "
    "{before} ({n_before} answers). Look at its answers, or roll it back.",
}
ITS_ANSWERS = "Ratings of its answers"
LEARNT_FROM = "What it learnt from: {count} exchanges"
LEARNT_BY = "Learnt by:"
ROLL_BACK = "Roll back"
PROMOTE = "Let it answer"
PROMOTE_WHY = "Why"
WITHDRAW = "Withdraw"
SERVICE = "Who answered when"
REPORT = "Report"
MOVED = "Validation answers that changed most"
BEFORE = "Before"
AFTER = "After"
LOG = "Log"
