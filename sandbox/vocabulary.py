"""Words and lists of the world: names, texts and dimensions, chosen to be awkward where real ones are."""

FOLLOWERS = (15_204, 86, 281, 1_048_576, 4_907)  # the second account stays under the 100 that demographics need
USERNAMES = ("blue.cup", "4815162342", "tea__house", "_under.score_", "cafe_nord", "07", "a.b_c.1")
RIVALS = ("bluebottle", "tea.time_24", "0815", "caffe__nero")  # accounts of others, which are found by their names
NO_HASHTAG = "nosuch"  # with which the names of hashtags begin that do not exist
CAPTIONS = (
    "Morning pour-over ☕️ #coffee",
    'She said "it\'s fine" & left <b>quietly</b>',
    "=SUM(1;2) is not a formula here",
    "Zwei Zeilen,\nein Kaffee — à la carte",
    "👩‍👩‍👧‍👦🇨🇭 family first",
    "夏の新作、本日から。",
    "مساء الخير ✨",
    "back\\slash, comma, {braces} and \t tab",
)
TEXTS = ("nice", "🔥🔥🔥", 'what "is" this?', "Größe L?", "@blue.cup yes!", "いいね", "a\nb", "=1+1", "0012")
TASKS = ["ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE"]

COUNTRIES = (
    "US DE FR GB CZ SK IN BR JP IT ES PL NL BE AT CH SE NO DK FI IE PT GR HU RO BG HR SI RS UA TR IL EG MA DZ TN NG KE "
    "ZA CA MX AR CL CO PE AU NZ CN HK TW KR TH VN MY SG ID PH PK"
)
CITIES = {
    "Berlin": "Berlin",
    "Île-de-France": "Paris Versailles Créteil",
    "Bavaria": "Munich Nuremberg Augsburg Ingolstadt Würzburg Fürth Erlangen",
    "California": "Oakland Fresno Sacramento Stockton Irvine Anaheim Riverside Bakersfield",
    "Texas": "Houston Dallas Austin Plano Laredo Lubbock Garland Irving",
    "Praha": "Prague",
    "Lombardy": "Milan Brescia Monza Bergamo Como Varese Lecco Pavia Lodi Mantua Cremona Sondrio Crema Legnano Rho",
}
DIMENSIONS = {
    "media_product_type": ("POST", "REEL", "STORY", "CAROUSEL_CONTAINER", "AD"),
    "follow_type": ("FOLLOWER", "NON_FOLLOWER"),
    "contact_button_type": ("BOOK_NOW", "CALL", "DIRECTION", "EMAIL", "INSTANT_EXPERIENCE", "TEXT", "UNDEFINED"),
    "age": ("13-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+"),
    "gender": ("F", "M", "U"),
    # More than 45 each: Meta tells no more than the largest 45.
    "country": tuple(COUNTRIES.split()),
    "city": tuple(f"{city}, {region}" for region, cities in CITIES.items() for city in cities.split()),
}
MEDIA_DIMENSIONS = {
    "navigation": ("tap_forward", "tap_back", "tap_exit", "swipe_forward"),
    "profile_activity": ("bio_link_clicked", "call", "direction", "email", "other", "text"),
}

# How much of an account's following shows up in a metric on an ordinary day.
DAILY_SHARE = {
    "reach": 0.30,
    "views": 0.80,
    "accounts_engaged": 0.05,
    "total_interactions": 0.09,
    "likes": 0.06,
    "comments": 0.006,
    "shares": 0.004,
    "saves": 0.005,
    "replies": 0.002,
    "reposts": 0.001,
    "profile_views": 0.03,
    "website_clicks": 0.002,
    "profile_links_taps": 0.003,
    "follower_count": 0.004,
    "unfollows": 0.003,
}
